"""The file of an SQLite database, which commands other than `serve` and `migrate` never create."""

from pathlib import Path

from sqlalchemy import Engine

from adapter.errors import WorkFailed
from adapter.inbox.database import missing_file


def require_file(engine: Engine) -> None:
    """Raise `WorkFailed` if the file of an SQLite database is missing: connecting would create an empty one."""
    path = missing_file(engine)
    if path and Path(path).is_absolute():
        raise WorkFailed(f"no {path}: check DATABASE_URL; drip-adapter serve and drip-adapter migrate create it")
    if path:
        raise WorkFailed(
            f"no {path} here; is this the right folder ({Path.cwd()})? drip-adapter serve and drip-adapter migrate create the file"
        )
