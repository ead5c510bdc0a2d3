"""Drip's Order Activity contract: its table as one schema, and the rendering of an order as a body that keeps it.

Source: the Order Activity page of Drip's API documentation. Item key `discount` stands in its table and `discounts` in its example, so
both are sent; `total_discounts` stands only in the example.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, pre_load, validates_schema
from marshmallow.constants import missing

from mappings.core.consent import initial_status
from mappings.core.errors import Rejected, dotted
from mappings.core.json import encode
from mappings.core.money import is_currency
from mappings.core.options import Options
from mappings.core.order import Item, Order
from mappings.core.text import absolute_url, first_email, without_blanks

VOCABULARIES = {"contract": ("created", "updated"), "lifecycle": ("placed", "paid", "fulfilled", "refunded", "canceled", "updated")}
"""The actions of each vocabulary: the contract's, and those of Drip's current page."""
ACTIONS = tuple(dict.fromkeys(action for actions in VOCABULARIES.values() for action in actions))
STATUSES = ("active", "unsubscribed")
ADDRESS_KEYS = (
    "label", "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postal_code", "country", "phone",
)  # fmt: skip
"""What Drip's current page knows of an address."""
# These keys of a body are about one request, not about the order: a refund is sent once, and a status applies to new people only.
_NOT_THE_ORDER = ("action", "occurred_at", "refund_amount", "initial_status")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 255

PRESENCE, FORMAT, EMAIL, URL, TIME, RANGE, LENGTH = (
    "is required",
    "has the wrong type or format",
    "is no e-mail address",
    "is no absolute http(s) address",
    "is no ISO 8601 time",
    "is out of range",
    "is too long",
)


class _Value(fields.Field[Any]):
    """A key of the contract's table; null counts as absent."""

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        if value is missing or value is None:
            if self.required:
                raise ValidationError(PRESENCE)
            return missing
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raise `ValidationError` if the contract forbids `value`."""
        raise NotImplementedError


class _String(_Value):
    def check(self, value: Any) -> None:
        if not isinstance(value, str):
            raise ValidationError(FORMAT)
        if self.required and not value.strip():
            raise ValidationError(PRESENCE)
        if len(value) > _LONGEST:
            raise ValidationError(LENGTH)


class _Provider(_String):
    def check(self, value: Any) -> None:
        super().check(value)
        if not _SNAKE.fullmatch(value):
            raise ValidationError(FORMAT)


class _Action(_String):
    def check(self, value: Any) -> None:
        super().check(value)
        if value not in ACTIONS:
            raise ValidationError(FORMAT)


class _Status(_String):
    def check(self, value: Any) -> None:
        super().check(value)
        if value not in STATUSES:
            raise ValidationError(FORMAT)


class _Address(_Value):
    def check(self, value: Any) -> None:
        if not isinstance(value, Mapping) or not set(value) <= set(ADDRESS_KEYS):
            raise ValidationError(FORMAT)
        if not all(isinstance(part, str) for part in value.values()):
            raise ValidationError(FORMAT)
        if any(len(part) > _LONGEST for part in value.values()):
            raise ValidationError(LENGTH)


class _Email(_String):
    def check(self, value: Any) -> None:
        super().check(value)
        if value and not first_email(value):
            raise ValidationError(EMAIL)


class _Url(_Value):
    def check(self, value: Any) -> None:
        if not isinstance(value, str) or not value:
            raise ValidationError(FORMAT if value else PRESENCE)
        if absolute_url(value) != value:
            raise ValidationError(URL)


class _Time(_Value):
    def check(self, value: Any) -> None:
        try:
            datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValidationError(TIME) from None


class _Currency(_String):
    def check(self, value: Any) -> None:
        super().check(value)
        if not is_currency(value):
            raise ValidationError(FORMAT)


class _Number(_Value):
    lowest: Decimal | None = None

    def check(self, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise ValidationError(FORMAT)
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValidationError(RANGE)
        if self.lowest is not None and value < self.lowest:
            raise ValidationError(RANGE)


class _NotNegative(_Number):
    lowest = Decimal(0)


class _Strings(_Value):
    def check(self, value: Any) -> None:
        if not isinstance(value, (list, tuple)) or not all(isinstance(entry, str) for entry in value):
            raise ValidationError(FORMAT)


class OrderActivityItem(Schema):
    """The contract's table of an item. Unknown keys are custom attributes."""

    class Meta:
        unknown = INCLUDE

    product_id = _String(required=True)
    product_variant_id = _String()
    sku = _String()
    name = _String(required=True)
    brand = _String()
    categories = _Strings()
    price = _NotNegative(required=True)
    quantity = _NotNegative()
    discount = _Number()
    discounts = _Number()
    taxes = _Number()
    fees = _Number()
    shipping = _Number()
    total = _Number()
    product_url = _Url(required=True)
    image_url = _Url(required=True)


class _Items(_Value):
    schema = OrderActivityItem(many=True)

    def check(self, value: Any) -> None:
        if not isinstance(value, list):
            raise ValidationError(FORMAT)
        if strangers := [index for index, entry in enumerate(value) if not isinstance(entry, dict)]:
            raise ValidationError({index: [FORMAT] for index in strangers})
        if problems := self.schema.validate(value):
            raise ValidationError(problems)


class OrderActivity(Schema):
    """The contract's table of an order. Unknown keys are custom attributes."""

    class Meta:
        unknown = INCLUDE

    provider = _Provider(required=True)
    person_id = _String()
    email = _Email()
    action = _Action(required=True)
    order_id = _String(required=True)
    occurred_at = _Time()
    order_public_id = _String()
    grand_total = _Number()
    total_discounts = _Number()
    total_taxes = _Number()
    total_fees = _Number()
    total_shipping = _Number()
    currency = _Currency()
    order_url = _Url(required=True)
    items = _Items()
    # Of Drip's current page:
    refund_amount = _NotNegative()
    initial_status = _Status()
    billing_address = _Address()
    shipping_address = _Address()

    @pre_load
    def ignore_email(self, body: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Of `person_id` and `email` the latter is ignored."""
        return {key: value for key, value in body.items() if key != "email"} if body.get("person_id") else body

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def check_person(self, body: dict[str, Any], original: dict[str, Any], **kwargs: Any) -> None:
        """Either `person_id` or `email` must be there."""
        if not any(str(original.get(name) or "").strip() for name in ("person_id", "email")):
            raise ValidationError(PRESENCE, "email")


# Every name to which Drip, then or today, gives a meaning: not to be had for a custom attribute.
DRIP_ORDER_NAMES = frozenset({*OrderActivity().fields, "discount", "discounts"})

_BODY = OrderActivity()
# What `refund_amount` tells already.
_TOLD_BY_REFUNDS = ("original_total", "refunded_total")


def render(order: Order, *, action: str, occurred_at: datetime, options: Options, refund_amount: Decimal | None = None) -> dict[str, Any]:
    """The body that Drip gets for an order.

    In the lifecycle vocabulary the total stays as ordered, and a refund goes beside it as `refund_amount`; else the total is what is left.
    Raises `Rejected` if it would break the contract.
    """
    lifecycle = options.vocabulary == "lifecycle"
    body: dict[str, Any] = {
        "provider": options.drip_provider or order.provider,
        "person_id": order.person_id,
        "email": order.email,
        "action": action,
        "order_id": order.order_id,
        "occurred_at": timestamp(occurred_at),
        "order_public_id": order.order_public_id[:_LONGEST],
        "currency": order.currency,
        "order_url": order.order_url,
    }
    body = without_blanks(body) | {
        "grand_total": order.ordered_total if lifecycle else order.grand_total,
        "total_discounts": order.total_discounts,
        "total_taxes": order.total_taxes,
        "total_fees": order.total_fees,
        "total_shipping": order.total_shipping,
        "items": [_render_item(item, options) for item in order.items],
        "item_count": _plain_number(sum((item.quantity for item in order.items), Decimal(0))),
    }
    if order.items:
        body["item_names"] = [item.name for item in order.items]
    if lifecycle:
        body |= _lifecycle_part(order, refund_amount)
    if status := initial_status(options.consent, order.accepts_marketing):
        body["initial_status"] = status
    for name, value in without_blanks(order.attributes).items():
        if name not in DRIP_ORDER_NAMES and not (lifecycle and name in _TOLD_BY_REFUNDS):
            body.setdefault(name, value)
    if problems := _BODY.validate(body):
        raise Rejected(dotted(problems))
    return body


def digest(body: Mapping[str, Any]) -> str:
    """What tells two states of an order apart: a hash of the body but for when and how it is sent.

    Numbers count by value, since carriers of one order print `200` and `"200.0000"`.
    """
    state = {key: value for key, value in body.items() if key not in _NOT_THE_ORDER}
    return hashlib.sha256(encode(_canonical(state))).hexdigest()


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, ending in `Z`; whole seconds without a fraction."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _lifecycle_part(order: Order, refund_amount: Decimal | None) -> dict[str, Any]:
    """What only Drip's current page knows: the sum given back, and the addresses."""
    addresses = {"billing_address": order.billing_address, "shipping_address": order.shipping_address}
    part: dict[str, Any] = {
        name: {key: text[:_LONGEST] for key, text in without_blanks(address).items()} for name, address in addresses.items() if address
    }
    return part if refund_amount is None else {"refund_amount": refund_amount, **part}


def _render_item(item: Item, options: Options) -> dict[str, Any]:
    known = {
        "product_id": item.product_id,
        "product_variant_id": item.product_variant_id,
        "sku": item.sku[:_LONGEST],
        "name": item.name,
        "brand": item.brand[:_LONGEST],
        "categories": list(item.categories),
        "product_url": item.product_url or item.built_url,
        "image_url": item.image_url or options.picture,
        "sale_price": item.sale_price,
    }
    amounts = {
        "price": item.price,
        "quantity": _plain_number(item.quantity),
        "discounts": item.discounts,
        "discount": item.discounts,
        "taxes": item.taxes,
        "fees": item.fees,
        "shipping": item.shipping,
        "total": item.total,
    }
    body = without_blanks(known) | amounts
    return body | {name: value for name, value in without_blanks(item.attributes).items() if name not in body}


def _plain_number(quantity: Decimal) -> int | Decimal:
    return int(quantity) if quantity == quantity.to_integral_value() else quantity.normalize()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _canonical(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_canonical(entry) for entry in value]
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        return f"{Decimal(value).normalize():f}"
    return value
