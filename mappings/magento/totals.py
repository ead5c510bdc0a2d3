"""What an order comes to: its totals, its fees, what was paid, and how far its own sums are from its total."""

from collections.abc import Sequence
from decimal import Decimal

from marshmallow import ValidationError

from mappings.core.errors import Rejected
from mappings.core.fields import Amount
from mappings.core.money import ZERO
from mappings.core.reading import Loaded
from mappings.magento.items import Bought


def grand_total(loaded: Loaded) -> Decimal:
    canceled = loaded["total_canceled"]
    if canceled is None:
        # What Order::registerCancellation sets it to.
        canceled = loaded["grand_total"] - loaded["total_paid"] if is_canceled(loaded) else ZERO
    remaining: Decimal = loaded["grand_total"] - loaded["total_refunded"] - canceled
    return max(ZERO, remaining)


def is_canceled(loaded: Loaded) -> bool:
    state: str = loaded["state"] or loaded["status"]
    return state == "canceled"


def financial_status(loaded: Loaded) -> str:
    due = loaded["grand_total"] - loaded["total_paid"] if loaded["total_due"] is None else loaded["total_due"]
    return "refunded" if loaded["state"] == "closed" else "paid" if due <= 0 else "pending"


def extra(loaded: Loaded, name: str) -> Decimal | None:
    value: Decimal | None = loaded["extension_attributes"][name]
    return loaded[name] if value is None else value


def wrapping(loaded: Loaded, bought: Sequence[Bought], *, refunded: bool) -> Decimal:
    """Gift wrap of the order, of its lines, and its card; less what of it was refunded, if wanted."""
    lines = extra(loaded, "gw_items_price")
    total = sum((line.wrapping for line in bought), ZERO) if lines is None else lines
    total += (extra(loaded, "gw_price") or ZERO) + (extra(loaded, "gw_card_price") or ZERO)
    if refunded:
        parts = ("gw_price_refunded", "gw_items_price_refunded", "gw_card_price_refunded")
        total -= sum((extra(loaded, name) or ZERO for name in parts), ZERO)
    return max(ZERO, total)


def other_fees(loaded: Loaded) -> Decimal:
    """Custom fees, and the fields that the store's `fee_keys` name."""
    total = sum((row["custom_fee_amount"] for row in loaded["extension_attributes"]["custom_fees"]), ZERO)
    read = Amount().deserialize
    for key, value in (loaded["fees"] or {}).items():
        try:
            total += read(value)
        except ValidationError as error:
            raise Rejected({key: [str(message) for message in error.messages]}) from None
    return total


def discrepancy(loaded: Loaded, bought: Sequence[Bought], others: Decimal) -> Decimal:
    """Magento's identity, on the amounts as ordered; nothing that was refunded or canceled lowers these."""
    subtotal: Decimal | None = loaded["subtotal"]
    if subtotal is None:
        return ZERO
    fees = others + sum((line.product_tax for line in bought), ZERO) + wrapping(loaded, bought, refunded=False)
    tendered = (extra(loaded, name) or ZERO for name in ("gift_cards_amount", "customer_balance_amount", "reward_currency_amount"))
    discount = loaded["discount_tax_compensation_amount"] - abs(loaded["discount_amount"])
    total = subtotal + loaded["tax_amount"] + loaded["shipping_amount"] + discount + fees - sum(tendered, ZERO)
    difference: Decimal = total - loaded["grand_total"]
    return difference
