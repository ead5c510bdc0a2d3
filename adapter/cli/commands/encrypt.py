"""`encrypt`: what was stored before the first of PAYLOAD_KEYS was set."""

import click

from adapter.cli.erasing import flush_erased
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import MOST, WholeNumber
from adapter.cli.progress import progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.errors import SettingsError, WorkFailed
from adapter.inbox.packing import LOCKED
from adapter.inbox.reencryption import Encrypted, encrypt_all
from adapter.operations.wording import counted


@click.command("encrypt")
@click.option("--limit", default=MOST, type=WholeNumber(1), metavar="N", help="At most this many; run it again for the rest.")
@explained
def command(limit: int) -> None:
    """Encrypt what is stored with the first of PAYLOAD_KEYS.

    For payloads and bodies stored before there was a key, or with an older one. Can be interrupted and run again, also while the adapter
    is running. Once it has done everything, older keys can be removed from PAYLOAD_KEYS.
    """
    settings = current_settings()
    if not settings.payload_keys:
        raise SettingsError("PAYLOAD_KEYS is not set; openssl rand -hex 32 prints a key")
    total = Encrypted()
    with open_inbox(settings) as engine:
        with progress("encrypting", if_interrupted="run drip-adapter encrypt again for the rest") as bar:
            for total in encrypt_all(engine, limit):
                bar.update(note=_counted(total.done))
        flush_erased(engine)
    echo(f"{_counted(total.done)} encrypted with the first key{'; there may be more' if total.done >= limit else ''}")
    if total.locked:
        raise WorkFailed(f"{_counted(total.locked)} can't be read: {LOCKED}")


def _counted(number: int) -> str:
    return counted(number, "payload or body", "payloads and bodies")
