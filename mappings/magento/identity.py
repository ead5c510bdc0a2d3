"""The order's id and the shopper's email address, wherever a payload has them."""

from mappings.core.fields import Text
from mappings.core.reading import Context, Loaded
from mappings.core.text import first_email, lookup

_text = Text().read


def order_id_of(loaded: Loaded, context: Context) -> str:
    increment_id = loaded.get("increment_id") or ""
    # No fallback for stores that chose increment_id: the other id would create their orders a second time.
    return increment_id if context.options.order_id == "increment_id" else entity_id_of(loaded) or increment_id


def entity_id_of(loaded: Loaded) -> str:
    """The order's primary key. Adobe's save events have it only where lines, payment and addresses refer to the order."""
    first: Loaded = next(iter(loaded.get("items") or ()), {})
    referring = (loaded.get("payment") or {}, *(loaded.get("addresses") or ()))
    candidates = (loaded.get("entity_id"), loaded.get("id"), first.get("order_id"), *(row.get("parent_id") for row in referring))
    return next((candidate for candidate in candidates if candidate), "")


def email_of(loaded: Loaded) -> str:
    return first_email(*(address or "" for address in emails(loaded)))


def emails(loaded: Loaded) -> tuple[str | None, ...]:
    addresses = loaded.get("addresses") or ()
    assigned = lookup((loaded.get("extension_attributes") or {}).get("shipping_assignments"), "0.shipping.address.email")
    return (
        loaded.get("customer_email"),
        (loaded.get("billing_address") or {}).get("email"),
        *(row.get("email") for row in addresses if row.get("address_type") == "billing"),
        None if assigned is None else _text(assigned),
        *(row.get("email") for row in addresses if row.get("address_type") != "billing"),
    )
