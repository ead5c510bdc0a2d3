"""What the commands that erase share."""

from sqlalchemy import Engine

from adapter.cli.text import echo
from adapter.inbox.erasure import flush


def flush_erased(engine: Engine) -> None:
    """Remove what was erased from the database's write-ahead log as well, or say why not."""
    if not flush(engine):
        echo(
            "note: the database's write-ahead log is in use and still holds what was erased; run this again when the adapter is idle",
            err=True,
        )
