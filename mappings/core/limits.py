"""How much one payload may hold. Beyond a limit it isn't mapped, and the problem names the setting that would allow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.core.errors import Rejected

DEEPEST = 100
_ROWS = (list, dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Far more than stores send. Each is a setting of its own."""

    orders: int = 2_000
    """MAX_ORDERS_PER_PAYLOAD."""
    lines: int = 5_000
    """MAX_LINES_PER_ORDER: also for an order's other lists, such as its refunds."""
    nesting: int = DEEPEST
    """MAX_NESTING."""

    def check_orders(self, orders: Sequence[Any]) -> None:
        """Raise `Rejected` for a body with too many orders."""
        if len(orders) > self.orders:
            raise Rejected({"": [f"contains {len(orders):,} orders, and MAX_ORDERS_PER_PAYLOAD allows {self.orders:,}"]})

    def check_order(self, order: Mapping[str, Any]) -> None:
        """Raise `Rejected` for an order with too many lines."""
        most = self.lines
        rows = {key: len(value) for key, value in order.items() if type(value) in _ROWS and len(value) > most}
        if rows:
            raise Rejected({key: [f"has {count:,} entries, and MAX_LINES_PER_ORDER allows {self.lines:,}"] for key, count in rows.items()})
