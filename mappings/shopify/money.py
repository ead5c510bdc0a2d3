"""The currency that a Shopify order is sent in: every amount comes from one family, the shop's or the shopper's."""

from collections.abc import Iterable
from decimal import Decimal

from mappings.core.money import ZERO
from mappings.core.reading import Loaded


class Money:
    """Picks one family of amounts, the shop's or the shopper's, and stays with it."""

    def __init__(self, loaded: Loaded, wish: str) -> None:
        shop, shown = loaded.get("currency") or "", loaded.get("presentment_currency") or ""
        has_sets = any((loaded.get(name) or (None, None))[1] is not None for name in ("total_price_set", "current_total_price_set"))
        self.presentment = wish == "presentment" and bool(shown) and has_sets
        self.currency: str = shown if self.presentment else shop

    def of(self, node: Loaded, name: str) -> Decimal | None:
        """The amount under `name`, or in its set; None if the payload has neither."""
        shop, shown = node.get(f"{name}_set") or (None, None)
        if self.presentment:
            return shown
        plain_amount = node.get(name)
        return plain_amount if plain_amount is not None else shop

    def first(self, node: Loaded, *names: str) -> Decimal:
        """The first amount that is there, else 0."""
        return next((amount for name in names if (amount := self.of(node, name)) is not None), ZERO)

    def total(self, rows: Iterable[Loaded], name: str) -> Decimal:
        """The sum of an amount over rows."""
        return sum((self.first(row, name) for row in rows), ZERO)
