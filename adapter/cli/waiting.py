"""Waiting for a database server that starts together with the adapter."""

import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from adapter.errors import AdapterError, DatabaseAway
from adapter.inbox.database import snapshot
from adapter.inbox.schema_version import require_schema

log = logging.getLogger(__name__)
_BETWEEN_TRIES_S = 1.0
_BETWEEN_MESSAGES_S = 5.0
# Waiting doesn't help against these.
_PERMANENT = ("authentication failed", "does not exist", "no pg_hba.conf entry")


def await_database(engine: Engine, look: Callable[[Engine], None] | None = None) -> None:
    """Return once PostgreSQL can be reached and `look` doesn't object; log every few seconds why not.

    An SQLite file isn't waited for: what is wrong with it doesn't pass. Raises what is wrong then, and if PostgreSQL refuses the user.
    """
    look, next_message = look or _connect, 0.0
    while True:
        try:
            look(engine)
        except AdapterError as error:
            if engine.dialect.name == "sqlite" or (isinstance(error, DatabaseAway) and any(why in str(error) for why in _PERMANENT)):
                raise
            if time.monotonic() >= next_message:
                next_message = time.monotonic() + _BETWEEN_MESSAGES_S
                log.warning("waiting for the database: %s", error, extra={"action": "database_away"})
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return


def report_until_ready(engine: Engine) -> None:
    """Log why webhooks can't be stored yet, until they can. The web side answers meanwhile.

    The engine has a connection from then on, and so notices if the file of an SQLite database is replaced before the first webhook.
    """
    try:
        await_database(engine, require_schema)
    except AdapterError as error:
        log.error(str(error), extra={"action": "database_away"})


def _connect(engine: Engine) -> None:
    with snapshot(engine):
        pass
