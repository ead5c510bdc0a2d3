"""The settings of a store that affect how its orders are mapped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from mappings.core.limits import Limits
from mappings.core.reachability import is_reachable
from mappings.core.text import absolute_url, origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one store, named as in `STORES`."""

    store_url: str = ""
    """The store's public address; blank: taken from the payload if the platform sends it."""
    store_urls: Mapping[str, str] = field(default_factory=dict)
    """Magento: the address of each store view, by `store_id`."""
    fallback_url: str = ""
    """The store's address if neither settings nor payload have one; only for the command `map`, blank when orders are sent."""
    public_url: str = ""
    """This adapter's own address, where the placeholder image is served; blank or unreachable from the internet: not used."""
    local_addresses_allowed: bool = False
    """Bodies may contain addresses of this machine and its network; for the sandbox, which sends no email."""
    drip_provider: str = ""
    person_id: str = ""
    """The path of the value to send as `person_id`."""
    order_id: Literal["", "entity_id", "increment_id"] = ""
    """Magento: which of its two numbers is the order's ID."""
    currency: Literal["shop", "presentment"] = "shop"
    order_url_template: str = ""
    placeholder_image: str = ""
    custom_attributes: Mapping[str, str] = field(default_factory=dict)
    """Attribute name -> path of its value in the order's payload."""
    fee_keys: tuple[str, ...] = ()
    """Paths of fields in the order that third-party extensions add as fees."""
    forward_test_orders: bool = False
    forward_child_orders: bool = False
    forward_unpaid: bool = False
    ignore_orders_before: datetime | None = None
    consent: str = "send"
    """`send`, `subscribed` or `ignore`; anything else is the path of the shopper's opt-in in the order's payload."""
    vocabulary: Literal["contract", "lifecycle"] = "contract"
    """Drip's actions: the contract's `created` and `updated`, or the newer `placed`, `paid`, ..."""
    limits: Limits = field(default_factory=Limits)

    def reachable(self, url: str) -> bool:
        """Whether an address may stand in a body: one that shoppers can reach, or any in the sandbox."""
        return self.local_addresses_allowed or is_reachable(url)

    def first_reachable(self, *candidates: str) -> str:
        """The first of several addresses that may stand in a body; "" if none may."""
        return next((url for url in candidates if url and self.reachable(url)), "")

    def image_of(self, image_url: str, store_url: str) -> str:
        """A product's image; for a product without one the store's placeholder, else the one that this adapter serves.

        While no address of this adapter is known, the shop's own icon has to do: the contract requires an image, and `/favicon.ico` is the
        one address at which a site's image is looked for by convention (HTML Standard, link type "icon").
        """
        served = f"{self.public_url.rstrip('/')}/static/placeholder.png" if self.public_url else ""
        site = origin(store_url)
        return self.first_reachable(image_url, self.placeholder_image, served, f"{site}/favicon.ico" if site else "")

    def templated_order_url(self, *, order_id: str, order_public_id: str, token: str) -> str:
        """The order's address from the store's template; "" without one."""
        if not self.order_url_template:
            return ""
        values = {"order_id": order_id, "order_public_id": order_public_id.lstrip("#"), "token": token}
        return absolute_url(self.order_url_template.format(**{name: quote(value, safe="") for name, value in values.items()}))
