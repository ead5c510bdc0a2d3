"""A stored delivery mapped again with the current code: what Drip would receive, where each field comes from, what differs from before."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.products import known_products
from adapter.inbox.sources import Source, crash, source_of
from adapter.operations.masking import masked
from adapter.operations.sums import Difference, difference_of
from adapter.operations.tracing import Traces, dotted, trace
from adapter.settings import Settings
from mappings import VOCABULARIES, Order, Product, ProductKey, Reading, Rejected, complete, parse, printed, render, wanted

_BEGINNINGS = frozenset(actions[0] for actions in VOCABULARIES.values())
LONGEST = 2_000_000
"""Bytes. Larger payloads are not previewed."""
Problems = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What the current code makes of a payload: a body, a reason to skip it, problems, or several orders."""

    document: Any = None
    """The parsed payload; None if it isn't JSON."""
    body: dict[str, Any] | None = None
    skip: str = ""
    problems: Problems = field(default_factory=dict)
    orders: int = 1
    sums: Difference | None = None
    """By how much the order's own amounts miss its total."""
    traces: Traces = field(default_factory=dict)


def make_preview(connection: Connection, row: Row[Any], settings: Settings, sent: Mapping[str, Any] | None) -> Preview:
    """Map a delivery's payload with the products already in the catalog, without requests. `sent` is the body Drip was sent, if any."""
    if is_locked(row.payload):
        return Preview(problems={"": [LOCKED]})
    try:
        document = parse(row.payload)
    except Rejected as rejected:
        return Preview(problems=rejected.problems)
    if settings.store(row.store) is None:
        return Preview(document=document, problems={"": [f"store {row.store} is not in the settings"]})
    source = source_of(row, settings)
    try:
        return _mapped(connection, source, document, sent)
    except Rejected as rejected:
        return Preview(document=document, problems=rejected.problems)
    except Exception as error:  # noqa: BLE001 - a payload that crashes the mapping is exactly what people come here to look at
        return Preview(document=document, problems=crash(error))


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


def _mapped(connection: Connection, source: Source, document: Any, sent: Mapping[str, Any] | None) -> Preview:
    several = source.provider.orders(document, source.context)
    if several is not None and len(several) != 1:
        return Preview(document=document, orders=len(several))
    reading = source.provider.read(document if several is None else several[0], source.context)
    if skip := reading.skip(placed=True):
        return Preview(document=document, skip=str(skip.reason))
    order = source.provider.map(reading, source.context)
    known = known_products(connection, source.store.name, wanted(order))
    products = {key: entry.product for key, entry in known.items() if entry.product is not None}
    renderer = _Renderer(source, products, sent or {})
    sums = difference_of(source.provider, reading.payload, order)
    return Preview(document=document, body=renderer.body(order), sums=sums, traces=trace(document, renderer.try_))


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Renders one delivery's payload, and modified versions of it, as Drip's body."""

    source: Source
    products: Mapping[ProductKey, Product]
    sent: Mapping[str, Any]

    def body(self, order: Order) -> dict[str, Any]:
        options = self.source.store.options
        action = str(self.sent.get("action", "")) or VOCABULARIES[options.vocabulary][0]
        at = order.created_at if action in _BEGINNINGS else order.updated_at
        refund = self.sent.get("refund_amount")
        return render(complete(order, self.products), action=action, occurred_at=at, options=options, refund_amount=refund)

    def try_(self, document: Any) -> dict[str, Any] | None:
        provider, context = self.source.provider, self.source.context
        try:
            several = provider.orders(document, context)
            reading: Reading = provider.read(document if several is None else several[0], context)
            return None if reading.skip(placed=True) else self.body(provider.map(reading, context))
        except Exception:  # noqa: BLE001 - a modified payload may raise anything; then there is no body
            return None


def _printed(body: Mapping[str, Any]) -> list[str]:
    return printed(body).splitlines()
