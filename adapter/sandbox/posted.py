"""The orders in a request to Drip, checked against the contract."""

from dataclasses import dataclass
from typing import Any

from adapter.sandbox.answers import Answer, Kind, errors
from mappings import OrderActivity, Rejected, dotted, parse
from mappings.core.contract import EMAIL, FORMAT, LENGTH, PRESENCE, RANGE, TIME, URL

MOST_ORDERS_A_BATCH = 1000
# Far below Python's own limit, so that what was accepted can also be shown.
_DEEPEST = 100
_CODES = {
    PRESENCE: "presence_error",
    FORMAT: "format_error",
    EMAIL: "email_error",
    URL: "url_error",
    TIME: "time_error",
    RANGE: "range_error",
    LENGTH: "length_error",
}
_CONTRACT = OrderActivity()


@dataclass(frozen=True, kw_only=True)
class Posted:
    """The contents of a request. `problem` is Drip's refusal; without one, every order meets the contract."""

    orders: tuple[Any, ...] = ()
    problem: Answer | None = None

    @property
    def order_ids(self) -> list[str]:
        return [str(order.get("order_id")) if isinstance(order, dict) else "" for order in self.orders]


def read_posted(kind: Kind, content_type: str, payload: bytes) -> Posted:
    """Check a body against the contract."""
    if content_type != "application/json":
        return Posted(problem=errors(400, [("format_error", "Content-Type", "must be application/json")]))
    try:
        document = parse(payload)
    except Rejected as error:
        return Posted(problem=errors(400, [("format_error", "", str(error))]))
    if _deeper(document, _DEEPEST):
        return Posted(problem=errors(400, [("format_error", "", f"The body is nested deeper than {_DEEPEST} levels")]))
    if not isinstance(document, dict):
        return Posted(problem=errors(422, [("format_error", "", "The body must be a JSON object")]))
    if kind == "batch":
        return _read_batch(document.get("orders"))
    return Posted(orders=(document,), problem=_breaches([("", document)]))


def _read_batch(orders: Any) -> Posted:
    if not isinstance(orders, list):
        code, why = ("presence_error", PRESENCE) if orders is None else ("format_error", FORMAT)
        return Posted(problem=errors(422, [(code, "orders", why)]))
    if not 1 <= len(orders) <= MOST_ORDERS_A_BATCH:
        return Posted(problem=errors(422, [("length_error", "orders", f"must hold 1 to {MOST_ORDERS_A_BATCH} orders")]))
    return Posted(orders=tuple(orders), problem=_breaches([(f"orders.{index}", order) for index, order in enumerate(orders)]))


def _deeper(document: Any, levels: int) -> bool:
    layer = [document]
    for _ in range(levels + 1):
        layer = [inner for node in layer if isinstance(node, (dict, list)) for inner in (node.values() if isinstance(node, dict) else node)]
        if not layer:
            return False
    return True


def _breaches(orders: list[tuple[str, Any]]) -> Answer | None:
    problems: dict[str, list[str]] = {}
    for path, order in orders:
        problems |= dotted(_CONTRACT.validate(order), path) if isinstance(order, dict) else {path: [FORMAT]}
    if not problems:
        return None
    return errors(422, [(_CODES.get(why, "format_error"), path, why) for path, reasons in problems.items() for why in reasons])
