"""What a store's settings decide about the mapping of its orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from mappings.core.text import absolute_url


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one store, as design.md's `STORES` table names them."""

    store_url: str = ""
    """The store's public address; blank: taken from the payload where the platform has it there."""
    store_urls: Mapping[str, str] = field(default_factory=dict)
    """Magento: the address of each store view, by `store_id`."""
    fallback_url: str = ""
    """The store's address where neither settings nor payload know one; only for trials, blank when orders are sent."""
    public_url: str = ""
    """This adapter's own address, where the placeholder picture is served."""
    drip_provider: str = ""
    person_id: str = ""
    """Path of the value to send as `person_id`."""
    order_id: Literal["", "entity_id", "increment_id"] = ""
    """Magento: which of its two numbers is the order's id."""
    currency: Literal["shop", "presentment"] = "shop"
    order_url_template: str = ""
    placeholder_image: str = ""
    custom_attributes: Mapping[str, str] = field(default_factory=dict)
    """Name of an attribute -> path of its value in the order's payload."""
    fee_keys: tuple[str, ...] = ()
    """Paths of fields in the order that third-party extensions add as fees."""
    forward_test_orders: bool = False
    forward_child_orders: bool = False
    forward_unpaid: bool = False
    ignore_orders_before: datetime | None = None
    consent: str = "send"
    """`send`, `subscribed` or `ignore`; anything else is the path of the shopper's opt-in in the order's payload."""
    vocabulary: Literal["contract", "lifecycle"] = "contract"
    """Drip's actions: `created` and `updated` of the contract, or `placed`, `paid`, ... of today."""

    @property
    def picture(self) -> str:
        """The address of the picture for a product that has none."""
        return self.placeholder_image or f"{self.public_url.rstrip('/')}/static/placeholder.png"

    def templated_order_url(self, *, order_id: str, order_public_id: str, token: str) -> str:
        """The order's address by the store's own template; "" without one."""
        values = {"order_id": order_id, "order_public_id": order_public_id.lstrip("#"), "token": token}
        return absolute_url(self.order_url_template.format(**{name: quote(value, safe="") for name, value in values.items()}))
