"""`unlock`: an end to the waiting after wrong passwords."""

from datetime import UTC, datetime

import click

from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.text import echo
from adapter.inbox import audit, login_attempts
from adapter.inbox.database import transaction
from adapter.operations.wording import counted


@click.command("unlock")
@explained
def command() -> None:
    """Let everyone try to log in again at once.

    After several wrong passwords, the dashboard makes a network wait before the next attempt, up to half a minute. This ends the waiting.
    """
    with open_inbox() as engine, transaction(engine) as connection:
        cleared = login_attempts.clear_all(connection)
        audit.note(connection, "unlocked the login", "dashboard", "", datetime.now(UTC), audit.COMMAND)
    echo(f"forgot the wrong passwords of {counted(cleared, 'visitor', 'visitors')}")
