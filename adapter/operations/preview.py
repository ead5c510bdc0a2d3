"""A stored delivery mapped again with the current code: what Drip would receive, where each field comes from, what differs from before."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.products import known_products
from adapter.inbox.sources import source_of
from adapter.operations import mapping_work
from adapter.operations.mapping_work import Preview
from adapter.operations.masking import masked
from adapter.operations.tracing import dotted
from adapter.process.isolation import CallFailed, Isolated
from adapter.settings import Settings
from mappings import DEEPEST, Rejected, parse, printed

LONGEST = 2_000_000
"""Bytes. Larger payloads are not previewed."""
# A page has 3.5 s for all that it needs of the database and of mappings. Tracing alone takes up to 0.8 s.
_WANTED_S = 0.4
_PREVIEW_S = 1.2
MAPPER = Isolated(mapping_work.__name__)
"""Maps payloads for pages and commands: in a process of its own, so that no payload can hold up this one."""


def make_preview(connection: Connection, row: Row[Any], settings: Settings, sent: Mapping[str, Any] | None) -> Preview:
    """Map a delivery's payload with the products already in the catalog, without requests. `sent` is the body Drip was sent, if any."""
    if is_locked(row.payload):
        return Preview(problems={"": [LOCKED]})
    if settings.store(row.store) is None:
        return Preview(document=_parsed(row.payload, DEEPEST), problems={"": [not_configured(row.store)]})
    source = source_of(row, settings)
    document = _parsed(row.payload, source.context.options.limits.nesting)
    given = (source.provider.name, row.payload, source.context)
    try:
        MAPPER.start()
        wanted = MAPPER.call(_WANTED_S, mapping_work.products_wanted, *given)
        known = known_products(connection, source.store.name, wanted)
        products = {key: entry.product for key, entry in known.items() if entry.product is not None}
        return replace(MAPPER.call(_PREVIEW_S, mapping_work.preview, *given, products, sent), document=document)
    except CallFailed as failed:
        return Preview(document=document, problems={"": [f"mapping it {failed}"]})


def not_configured(store: str) -> str:
    """Why nothing is made of the payloads of a store that was removed."""
    return f"store {store} is not in the settings"


def _parsed(payload: bytes, deepest: int) -> Any:
    try:
        return parse(payload, deepest)
    except Rejected:
        return None


def document(connection: Connection, row: Row[Any], attempts: Sequence[Row[Any]], settings: Settings) -> dict[str, Any] | None:
    """The preview of a delivery as `deliveries show --json` prints it; None if its payload is erased or too large."""
    if row.payload is None or len(row.payload) > LONGEST:
        return None
    bodies = [attempt.body for attempt in attempts if attempt.body is not None]
    sent = parse(bodies[-1]) if bodies else None
    today = make_preview(connection, row, settings, sent)
    return {
        "body": today.body,
        "skip": today.skip or None,
        "problems": dict(today.problems) or None,
        "orders": today.orders,
        "sums_differ": f"{today.sums} {today.sums.advice}" if today.sums else None,
        "difference": difference(sent, today.body, shown=True) if sent and today.body else [],
        "made_from": {dotted(path): [dotted(source) for source in sources] for path, sources in today.traces.items()},
    }


def difference(sent: Mapping[str, Any], today: Mapping[str, Any], *, shown: bool) -> list[str]:
    """How today's body differs from the one sent, as lines of a unified diff; empty if they are the same."""
    before, after = (_printed(body if shown else masked(body)) for body in (sent, today))
    if sent != today and before == after:
        return ["  Only personal data differs. Show personal data to see it."]
    return list(difflib.unified_diff(before, after, "sent", "today", lineterm="", n=2))[2:]


def _printed(body: Mapping[str, Any]) -> list[str]:
    return printed(body).splitlines()
