"""An order as the body that Drip gets for it, and the digest that tells two bodies of an order apart."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from typing import Any

from mappings.core.consent import initial_status
from mappings.core.contract import DRIP_ORDER_NAMES, LONGEST, OrderActivity, keeps_contract
from mappings.core.errors import Rejected, dotted
from mappings.core.options import Options
from mappings.core.order import Item, Order
from mappings.core.text import absolute_url, is_blank, without_blanks

_BODY = OrderActivity()
_ADDRESS = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
# In the lifecycle vocabulary, `refund_amount` contains these.
_IN_REFUNDS = ("original_total", "refunded_total")
# These keys of a body are about one request, not about the order: a refund is sent once, and a status applies to new people only.
_NOT_THE_ORDER = ("action", "occurred_at", "refund_amount", "initial_status")
_NOWHERE = "no address of this shop can be reached from the internet: set the store's store_url to its public address"


def render(order: Order, *, action: str, occurred_at: datetime, options: Options, refund_amount: Decimal | None = None) -> dict[str, Any]:
    """The body that Drip gets for an order.

    In the lifecycle vocabulary the total stays as ordered and a refund is sent as `refund_amount`; in the contract's, the total is what is
    left. Addresses that can't be reached from the internet are replaced or left out.

    Raises `Rejected` if the body would break the contract.
    """
    lifecycle = options.vocabulary == "lifecycle"
    body: dict[str, Any] = {
        "provider": options.drip_provider or order.provider,
        "person_id": order.person_id,
        "email": order.email,
        "action": action,
        "order_id": order.order_id,
        "occurred_at": timestamp(occurred_at),
        "order_public_id": order.order_public_id[:LONGEST],
        "currency": order.currency,
        "order_url": _page(order, options, order.order_url),
    }
    body = without_blanks(body) | {
        "grand_total": order.ordered_total if lifecycle else order.grand_total,
        "total_discounts": order.total_discounts,
        "total_taxes": order.total_taxes,
        "total_fees": order.total_fees,
        "total_shipping": order.total_shipping,
        "items": _items(order, options),
        "item_count": _plain_number(sum((item.quantity for item in order.items), Decimal(0))),
    }
    if order.items:
        body["item_names"] = [item.name for item in order.items]
    if lifecycle:
        body |= _lifecycle_part(order, refund_amount)
    if status := initial_status(options.consent, order.accepts_marketing):
        body["initial_status"] = status
    for name, value in order.attributes.items():
        if name not in DRIP_ORDER_NAMES and not (lifecycle and name in _IN_REFUNDS):
            _add(body, name, value, options)
    if not keeps_contract(body):
        raise Rejected(dotted(_BODY.validate(body)))
    return body


def digest(body: Mapping[str, Any]) -> str:
    """A hash of a body without the keys that are about its request.

    Numbers count by value, since two sources of one order may print `200` and `"200.0000"`.
    """
    state = {key: value for key, value in body.items() if key not in _NOT_THE_ORDER}
    return hashlib.sha256(_canonical(state).encode()).hexdigest()


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, ending in `Z`; whole seconds have no fraction."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _page(order: Order, options: Options, *candidates: str) -> str:
    """The first address that shoppers can reach: of the candidates, else the shop's, else this adapter's."""
    given = next(filter(None, candidates), "")
    if options.reachable(given) or not given or absolute_url(given) != given:
        return given  # if it isn't an address at all, the contract rejects it, by its path
    if page := options.first_reachable(*candidates, order.store_url, options.public_url):
        return page
    raise Rejected({"order_url": [_NOWHERE]})


def _lifecycle_part(order: Order, refund_amount: Decimal | None) -> dict[str, Any]:
    """What only Drip's current page has: the refunded amount and the addresses."""
    addresses = {"billing_address": order.billing_address, "shipping_address": order.shipping_address}
    part: dict[str, Any] = {
        name: {key: text[:LONGEST] for key, text in without_blanks(address).items()} for name, address in addresses.items() if address
    }
    return part if refund_amount is None else {"refund_amount": refund_amount, **part}


def _items(order: Order, options: Options) -> list[dict[str, Any]]:
    placeholder = options.image_of("", order.store_url)
    return [_item(item, order, options, placeholder) for item in order.items]


def _item(item: Item, order: Order, options: Options, placeholder: str) -> dict[str, Any]:
    texts = {
        "product_id": item.product_id,
        "product_variant_id": item.product_variant_id,
        "sku": item.sku[:LONGEST],
        "name": item.name,
        "brand": item.brand[:LONGEST],
        "categories": list(item.categories),
        "product_url": _page(order, options, item.product_url, item.built_url),
        "image_url": options.first_reachable(item.image_url) or placeholder,
        "sale_price": item.sale_price,
    }
    body = without_blanks(texts)
    body["price"] = item.price
    body["quantity"] = _plain_number(item.quantity)
    # The contract's table has `discount`, its example and Drip's current page have `discounts`: both are sent.
    body["discounts"] = body["discount"] = item.discounts
    body["taxes"] = item.taxes
    body["fees"] = item.fees
    body["shipping"] = item.shipping
    body["total"] = item.total
    for name, value in item.attributes.items():
        _add(body, name, value, options)
    return body


def _add(body: dict[str, Any], name: str, value: Any, options: Options) -> None:
    """Add a custom attribute, unless it is blank, an address that can't be reached, or already there."""
    if type(value) is list or type(value) is tuple:
        value = [entry for entry in value if _may_send(entry, options)]
    if name not in body and not is_blank(value) and _may_send(value, options):
        body[name] = value


def _may_send(value: Any, options: Options) -> bool:
    return not isinstance(value, str) or "//" not in value or not _ADDRESS.match(value) or options.reachable(value)


def _plain_number(quantity: Decimal) -> int | Decimal:
    return int(quantity) if quantity == quantity.to_integral_value() else quantity.normalize()


def _canonical(value: Any) -> str:
    """JSON with sorted keys, and each number as a string of its value."""
    kind = type(value)
    if kind is str:
        return quoted(value)
    if kind is Decimal:
        return f'"{value.normalize():f}"'
    if kind is dict:
        return "{" + ",".join([f"{quoted(key)}:{_canonical(value[key])}" for key in sorted(value)]) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join([_canonical(entry) for entry in value]) + "]"
    return f'"{Decimal(value).normalize():f}"' if kind is int else json.dumps(value)
