"""The inbox as files, for whoever wants to keep it: each delivery as a fixture folder, with what happened to it beside it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, select

from adapter.errors import WorkFailed
from adapter.inbox import search
from adapter.inbox.database import snapshot
from adapter.inbox.packing import is_locked
from adapter.inbox.tables import deliveries
from adapter.settings import Settings
from mappings import Provider, printed

_AT_ONCE = 200
Describe = Callable[[Row[Any], Sequence[Row[Any]]], Mapping[str, Any]]
"""From a delivery and its attempts to the document that is written beside its payload."""


@dataclass(slots=True)
class Exported:
    """How many deliveries were written; how many of them without a payload, because it is erased, or encrypted with an unknown key."""

    deliveries: int = 0
    erased: int = 0
    locked: int = 0


def headers_of(row: Row[Any], provider: Provider | None) -> dict[str, str]:
    """A delivery's headers as a fixture has them: without the signature, with the topic."""
    topic = {provider.topic_headers[0]: row.topic} if provider and row.topic else {}
    return {"Content-Type": "application/json", **topic, **json.loads(row.headers)}


def export(
    engine: Engine,
    settings: Settings,
    which: ColumnElement[bool],
    folder: Path,
    describe: Describe,
    on_written: Callable[[Exported], None] = lambda done: None,
) -> Exported:
    """Write deliveries to `folder`, as PROVIDER/STORE-ID; raises `WorkFailed` if the folder isn't empty or can't be written.

    `on_written` gets the totals so far after each delivery. Only the owner can read the folder, because it contains personal data.
    """
    done = Exported()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise WorkFailed(f"{folder} isn't empty; name a new folder")
        for row, attempts in _read(engine, which):
            _write(row, settings, folder, describe(row, attempts))
            done.deliveries += 1
            done.erased += row.payload is None
            done.locked += is_locked(row.payload)
            on_written(done)
    except OSError as error:
        raise WorkFailed(f"{error.filename or folder}: {error.strerror}") from error
    return done


def _read(engine: Engine, which: ColumnElement[bool]) -> Iterator[tuple[Row[Any], Sequence[Row[Any]]]]:
    """The deliveries with their attempts, the oldest first; a few at a time, so that no transaction stays open meanwhile."""
    last = -1
    while True:
        with snapshot(engine) as connection:
            chosen = select(deliveries).where(which, deliveries.c.id > last).order_by(deliveries.c.id).limit(_AT_ONCE)
            rows = [(row, search.attempts_of(connection, row.id)) for row in connection.execute(chosen)]
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1][0].id


def _write(row: Row[Any], settings: Settings, folder: Path, document: Mapping[str, Any]) -> None:
    store = settings.store(row.store)
    own = folder / (store.provider.name if store else row.store) / f"{row.store}-{row.id}"
    os.makedirs(own, mode=0o700)
    (own / "delivery.json").write_text(printed(document) + "\n", encoding="utf-8")
    (own / "headers.json").write_text(json.dumps(headers_of(row, store.provider if store else None), indent=2) + "\n", encoding="utf-8")
    if row.payload is not None and not is_locked(row.payload):
        (own / "payload.json").write_bytes(row.payload)
