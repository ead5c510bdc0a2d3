"""Files that processes on one host share because they use the same database."""

import hashlib
import os
import tempfile
from pathlib import Path

_SQLITE = "sqlite:///"


def path_for(database_url: str, suffix: str) -> Path:
    """A path in the folder for temporary files, for this user and this database, whatever the working directory."""
    if database_url.startswith(_SQLITE):
        file = database_url.removeprefix(_SQLITE).partition("?")[0]
        database_url = _SQLITE + os.path.abspath(file)
    name = hashlib.sha256(f"{database_url} {os.getuid()}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"drip-adapter-{name}.{suffix}"
