"""The currency that a Shopify order is sent in: every amount comes from one family, the shop's or the shopper's."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from mappings.core.money import ZERO
from mappings.core.reading import Loaded

_SIDES = ("shop_money", "presentment_money")
# Any of these gives the order's own exchange rate.
_RATES = ("total_price_set", "current_total_price_set", "total_line_items_price_set", "total_shipping_price_set")
_NO_SET = (None, None)
LACKS_PRESENTMENT = 'Missing, and the store has currency = "presentment": add it to the webhook\'s fields.'


class Money:
    """Reads amounts in one currency and notes those that the payload has only in the other."""

    def __init__(self, loaded: Loaded, wish: str) -> None:
        shop, shown = loaded.get("currency") or "", loaded.get("presentment_currency") or ""
        has_sets = any((loaded.get(name) or _NO_SET)[1] is not None for name in ("total_price_set", "current_total_price_set"))
        self.presentment = wish == "presentment" and shown not in ("", shop) and has_sets
        self.currency: str = shown if self.presentment else shop
        self._order = loaded
        self._missing: list[tuple[Loaded, str]] = []

    def of(self, node: Loaded, name: str) -> Decimal | None:
        """The amount under `name`, or in its set; None if the payload has neither."""
        shop, shown = node.get(f"{name}_set") or _NO_SET
        plain_amount = node.get(name)
        if not self.presentment:
            return plain_amount if plain_amount is not None else shop
        if shown is None and (plain_amount or shop):
            self._missing.append((node, f"{name}_set"))
        return shown

    def first(self, node: Loaded, *names: str) -> Decimal:
        """The first amount that is there, else 0."""
        return next((amount for name in names if (amount := self.of(node, name)) is not None), ZERO)

    def total(self, rows: Iterable[Loaded], name: str) -> Decimal:
        """The sum of an amount over rows."""
        return sum((self.first(row, name) for row in rows), ZERO)

    def duty(self, node: Loaded) -> Decimal:
        """A duty's amount; a duty is itself a set of two amounts."""
        shop, shown = (node[side]["amount"] for side in _SIDES)
        if self.presentment and shown is None and shop:
            self._missing.append((node, _SIDES[1]))
        return (shown if self.presentment else shop) or ZERO

    def paid_back(self, transaction: Loaded) -> Decimal:
        """A transaction's amount, not rounded.

        Its bare `amount` is in `currency`, which may be the shopper's. Without an `amount_set` the order's own rate converts it.
        """
        shop, shown = transaction.get("amount_set") or _NO_SET
        exact: Decimal | None = shown if self.presentment else shop
        if exact is not None:
            return exact
        amount: Decimal = transaction.get("amount") or ZERO
        return amount if transaction.get("currency") in ("", None, self.currency) else self._converted(amount)

    def problems(self) -> dict[str, list[str]]:
        """The amounts that were asked for but missing in this currency, by path."""
        paths = {id(node): path for path, node in _nodes(self._order, "")} if self._missing else {}
        return {f"{paths[id(node)]}{name}": [LACKS_PRESENTMENT] for node, name in self._missing}

    def _converted(self, amount: Decimal) -> Decimal:
        """An amount of the other currency; 0 if the payload has no rate, since `current_total_price` follows most refunds anyway."""
        for name in _RATES:
            shop, shown = self._order.get(name) or _NO_SET
            if shop and shown:
                mine, other = (shown, shop) if self.presentment else (shop, shown)
                converted: Decimal = amount * mine / other
                return converted
        return ZERO


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Loaded]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from _nodes(value, f"{path}{key}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _nodes(value, f"{path}{index}.")
