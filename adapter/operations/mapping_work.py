"""Mapping as it runs in a process of its own: functions of plain values, with nothing of the database or the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter.inbox.sources import crash
from adapter.operations.sums import Difference, difference_of
from adapter.operations.tracing import Traces, trace
from mappings import (
    PROVIDERS,
    VOCABULARIES,
    Context,
    Order,
    Product,
    ProductKey,
    Provider,
    Reading,
    Rejected,
    complete,
    parse,
    render,
    wanted,
)

_BEGINNINGS = frozenset(actions[0] for actions in VOCABULARIES.values())
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


def order_in(provider: str, payload: bytes, context: Context) -> Order | None:
    """The order in a payload; None if the mapping makes none of it."""
    platform = PROVIDERS[provider]
    try:
        [reading, *_] = platform.readings(payload, context)
        return None if reading.identity is None else platform.map(reading, context)
    except Exception:  # noqa: BLE001 - a payload that crashes the mapping has a page of its own; the list goes on without its total
        return None


def products_wanted(provider: str, payload: bytes, context: Context) -> set[ProductKey]:
    """The products whose data an order lacks."""
    order = order_in(provider, payload, context)
    return wanted(order) if order is not None else set()


def preview(
    provider: str, payload: bytes, context: Context, products: Mapping[ProductKey, Product], sent: Mapping[str, Any] | None
) -> Preview:
    """What the mapping makes of a payload, without its document. `sent` is the body Drip was sent, if any."""
    try:
        return _preview(PROVIDERS[provider], parse(payload, context.options.limits.nesting), context, products, sent or {})
    except Rejected as rejected:
        return Preview(problems=rejected.problems)
    except Exception as error:  # noqa: BLE001 - a payload that crashes the mapping is exactly what people come here to look at
        return Preview(problems=crash(error))


def _preview(
    provider: Provider, document: Any, context: Context, products: Mapping[ProductKey, Product], sent: Mapping[str, Any]
) -> Preview:
    several = provider.orders(document, context)
    if several is not None and len(several) != 1:
        return Preview(orders=len(several))
    reading = provider.read(document if several is None else several[0], context)
    if skip := reading.skip(placed=True):
        return Preview(skip=str(skip.reason))
    order = provider.map(reading, context)
    renderer = _Renderer(provider, context, products, sent)
    sums = difference_of(provider, reading.payload, order)
    return Preview(body=renderer.body(order), sums=sums, traces=trace(document, renderer.try_))


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Renders one delivery's payload, and modified versions of it, as Drip's body."""

    provider: Provider
    context: Context
    products: Mapping[ProductKey, Product]
    sent: Mapping[str, Any]

    def body(self, order: Order) -> dict[str, Any]:
        options = self.context.options
        action = str(self.sent.get("action", "")) or VOCABULARIES[options.vocabulary][0]
        at = order.created_at if action in _BEGINNINGS else order.updated_at
        refund = self.sent.get("refund_amount")
        return render(complete(order, self.products), action=action, occurred_at=at, options=options, refund_amount=refund)

    def try_(self, document: Any) -> dict[str, Any] | None:
        try:
            several = self.provider.orders(document, self.context)
            reading: Reading = self.provider.read(document if several is None else several[0], self.context)
            return None if reading.skip(placed=True) else self.body(self.provider.map(reading, self.context))
        except Exception:  # noqa: BLE001 - a modified payload may raise anything; then there is no body
            return None
