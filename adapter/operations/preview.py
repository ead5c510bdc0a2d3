"""A kept delivery mapped again with today's code: what Drip would get, what that is made from, and how it differs from what was sent."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simplejson
from sqlalchemy import Connection, Row

from adapter.inbox.products import known_products
from adapter.inbox.sources import Source, crash, source_of
from adapter.operations.masking import masked
from adapter.operations.sums import Difference, difference_of
from adapter.operations.tracing import Traces, said, trace
from adapter.settings import Settings
from mappings import VOCABULARIES, Order, Product, ProductKey, Reading, Rejected, complete, parse, render, wanted

_BEGINNINGS = frozenset(actions[0] for actions in VOCABULARIES.values())
LONGEST = 2_000_000
"""Payloads beyond this are not taken apart for somebody to look at; bytes."""
Problems = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remapped:
    """What today's code makes of a payload: one of a body, a reason to skip, problems, or several orders."""

    document: Any = None
    """The payload, parsed; None where it is no JSON."""
    body: dict[str, Any] | None = None
    skip: str = ""
    problems: Problems = field(default_factory=dict)
    orders: int = 1
    sums: Difference | None = None
    """By how much the order's own amounts miss its total."""
    traces: Traces = field(default_factory=dict)


def remap(connection: Connection, row: Row[Any], settings: Settings, sent: Mapping[str, Any] | None) -> Remapped:
    """Map a delivery's payload, with the products that are known; nobody is asked. `sent` is what Drip was sent of it, if anything."""
    try:
        document = parse(row.payload)
    except Rejected as rejected:
        return Remapped(problems=rejected.problems)
    if settings.store(row.store) is None:
        return Remapped(document=document, problems={"": ["no setting names the store of this delivery"]})
    source = source_of(row, settings)
    try:
        return _mapped(connection, source, document, sent)
    except Rejected as rejected:
        return Remapped(document=document, problems=rejected.problems)
    except Exception as error:  # noqa: BLE001 - a payload that crashes the mapping is what somebody came here to look at
        return Remapped(document=document, problems=crash(error))


def document(connection: Connection, row: Row[Any], attempts: Sequence[Row[Any]], settings: Settings) -> dict[str, Any] | None:
    """What today's code makes of a delivery, as `deliveries show --json` prints it; None where its payload is erased or too long."""
    if row.payload is None or len(row.payload) > LONGEST:
        return None
    bodies = [attempt.body for attempt in attempts if attempt.body is not None]
    sent = parse(bodies[-1]) if bodies else None
    today = remap(connection, row, settings, sent)
    return {
        "body": today.body,
        "skip": today.skip or None,
        "problems": dict(today.problems) or None,
        "orders": today.orders,
        "sums_differ": f"{today.sums} {today.sums.advice}" if today.sums else None,
        "difference": difference(sent, today.body, shown=True) if sent and today.body else [],
        "made_from": {said(path): [said(source) for source in sources] for path, sources in today.traces.items()},
    }


def difference(sent: Mapping[str, Any], today: Mapping[str, Any], *, shown: bool) -> list[str]:
    """How today's body differs from what was sent, as the lines of a unified diff; none where it does not."""
    before, after = (_printed(body if shown else masked(body)) for body in (sent, today))
    if sent != today and before == after:  # only in what is hidden
        return ["  the same, but for personal data: show it to see what"]
    return list(difflib.unified_diff(before, after, "sent", "today", lineterm="", n=2))[2:]


def _mapped(connection: Connection, source: Source, document: Any, sent: Mapping[str, Any] | None) -> Remapped:
    several = source.provider.split(document)
    if several is not None and len(several) != 1:
        return Remapped(document=document, orders=len(several))
    reading = source.provider.read(document if several is None else several[0], source.context)
    if skip := reading.skip(placed=True):
        return Remapped(document=document, skip=str(skip.reason))
    order = source.provider.map(reading, source.context)
    known = known_products(connection, source.store.name, wanted(order))
    products = {key: entry.product for key, entry in known.items() if entry.product is not None}
    maker = _Maker(source, products, sent or {})
    sums = difference_of(source.provider, reading.payload, order)
    return Remapped(document=document, body=maker.body(order), sums=sums, traces=trace(document, maker.try_))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes bodies of one delivery's payload, and of changed ones."""

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
            several = provider.split(document)
            reading: Reading = provider.read(document if several is None else several[0], context)
            return None if reading.skip(placed=True) else self.body(provider.map(reading, context))
        except Exception:  # noqa: BLE001 - whatever a changed payload sets off only says that there is no body
            return None


def _printed(body: Mapping[str, Any]) -> list[str]:
    text: str = simplejson.dumps(body, use_decimal=True, ensure_ascii=False, indent=2)
    return text.splitlines()
