"""`resume`: try an account at once."""

from datetime import UTC, datetime

import click

from adapter.cli import completion
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.errors import WorkFailed
from adapter.inbox import audit
from adapter.inbox.database import transaction
from adapter.operations.resume import resume
from adapter.process.wake_up import wake_senders


@click.command("resume")
@click.argument("account", shell_complete=completion.accounts)
@explained
def command(account: str) -> None:
    """Try a paused or throttled Drip account now.

    A running sender tries one order within a second. If Drip accepts it, the others follow; if not, the account waits as before.
    """
    settings = current_settings()
    if account not in settings.accounts:
        known = ", ".join(settings.accounts) or "none: set DRIP_ACCOUNT_ID and DRIP_API_KEY"
        raise WorkFailed(f"no Drip account {account!r} in the settings; there is {known}")
    with open_inbox(settings) as engine, transaction(engine) as connection:
        resume(connection, account, datetime.now(UTC), audit.COMMAND)
    wake_senders(settings.database_url)
    echo(f"Drip account {account} is tried within a second. To see what came of it: drip-adapter status")
