"""The canonical order: every provider's payload becomes one, and Drip's body is rendered from it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from mappings.core.money import ZERO, unit_price

_A_CENT = Decimal("0.01")


class Item(Struct, frozen=True, kw_only=True):
    """One line of an order, at the quantity the order still holds. A struct, since it is made several times faster than a dataclass.

    Amounts are in the order's currency and for the whole line, except `price`: one unit, before discounts.
    """

    product_id: str
    product_variant_id: str
    sku: str = ""
    name: str
    brand: str = ""
    categories: tuple[str, ...] = ()
    price: Decimal
    quantity: Decimal
    discounts: Decimal = ZERO
    taxes: Decimal = ZERO
    fees: Decimal = ZERO
    shipping: Decimal = ZERO
    total: Decimal
    product_url: str = ""
    """From the payload or the catalog; blank if neither has it."""
    built_url: str
    """The fallback for `product_url`, built from the platform's documented form."""
    image_url: str = ""
    catalog_id: str = ""
    """The platform's product ID, for catalog lookups; blank for a line that isn't a product there."""
    catalog_variant_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sale_price(self) -> Decimal | None:
        """The price of a unit after discounts, if there are any."""
        if self.discounts <= 0 or self.quantity <= 0:
            return None
        return unit_price(max(ZERO, self.total) / self.quantity)


class Order(Struct, frozen=True, kw_only=True):
    """A snapshot of an order, as its store sent it. Times are aware and in UTC, amounts are in `currency`."""

    provider: str
    order_id: str
    order_public_id: str = ""
    email: str = ""
    person_id: str = ""
    created_at: datetime
    updated_at: datetime
    grand_total: Decimal
    total_discounts: Decimal = ZERO
    total_taxes: Decimal = ZERO
    total_fees: Decimal = ZERO
    total_shipping: Decimal = ZERO
    currency: str = ""
    """ISO 4217, or blank."""
    order_url: str
    items: tuple[Item, ...] = ()
    original_total: Decimal
    """What the order came to before anything was refunded."""
    refunded_total: Decimal = ZERO
    paid: bool = False
    fulfilled: bool = False
    canceled: bool = False
    billing_address: Mapping[str, str] = field(default_factory=dict)
    """With Drip's names; sent in the lifecycle vocabulary only."""
    shipping_address: Mapping[str, str] = field(default_factory=dict)
    store_url: str = ""
    """The address of the store, with or without a trailing slash; its products are looked up there."""
    view: str = ""
    """Magento: the store view of the purchase."""
    accepts_marketing: bool | None = None
    """Whether the shopper opted in to marketing; None where the payload does not contain it."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    discrepancy: Decimal | None = None
    """By how much the payload's amounts exceed its total; None if some are missing. Never a reason to reject the order."""

    @property
    def unexplained(self) -> Decimal:
        """The discrepancy; 0 if it can be rounding, a cent for each line."""
        amount = self.discrepancy or ZERO
        return amount if abs(amount) > _A_CENT * max(1, len(self.items)) else ZERO

    @property
    def lost_total(self) -> Decimal:
        """The part of the order's value that is gone: refunded or, in a canceled order, never to be paid."""
        return max(self.refunded_total, self.original_total - self.grand_total) if self.canceled else self.refunded_total

    @property
    def ordered_total(self) -> Decimal:
        """What the order came to before any of it was lost; it follows an edit of the order.

        `original_total` doesn't: Shopify's still includes lines that were removed, Magento's what was canceled of an order that goes on.
        """
        return self.grand_total + self.lost_total
