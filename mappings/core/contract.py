"""Drip's Order Activity contract: its table as one schema.

Source: the Order Activity page of Drip's API documentation. `total_discounts` is only in its example, and the keys at the end only on its
current page.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, pre_load, validates_schema
from marshmallow.constants import missing

from mappings.core.money import is_currency
from mappings.core.text import absolute_url, first_email

VOCABULARIES = {"contract": ("created", "updated"), "lifecycle": ("placed", "paid", "fulfilled", "refunded", "canceled", "updated")}
"""The actions of each vocabulary: the contract's, and those of Drip's current page."""
ACTIONS = tuple(dict.fromkeys(action for actions in VOCABULARIES.values() for action in actions))
STATUSES = ("active", "unsubscribed")
ADDRESS_KEYS = (
    "label", "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postal_code", "country", "phone",
)  # fmt: skip
"""The fields of an address on Drip's current page."""
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 255
"""The longest text that Drip takes."""

PRESENCE, FORMAT, EMAIL, URL, TIME, RANGE, LENGTH = (
    "is required",
    "has the wrong type or format",
    "isn't an email address",
    "isn't an absolute http(s) URL",
    "isn't an ISO 8601 time",
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
        if problem := self.problem(value):
            raise ValidationError(problem)
        return value

    def problem(self, value: Any) -> Any:
        """Why the contract forbids `value`, as a message or as marshmallow's messages by key; "" if it doesn't."""
        raise NotImplementedError


class _String(_Value):
    def problem(self, value: Any) -> str:
        if not isinstance(value, str):
            return FORMAT
        if self.required and not value.strip():
            return PRESENCE
        return LENGTH if len(value) > LONGEST else ""


class _Provider(_String):
    def problem(self, value: Any) -> str:
        return super().problem(value) or ("" if _SNAKE.fullmatch(value) else FORMAT)


class _Action(_String):
    def problem(self, value: Any) -> str:
        return super().problem(value) or ("" if value in ACTIONS else FORMAT)


class _Status(_String):
    def problem(self, value: Any) -> str:
        return super().problem(value) or ("" if value in STATUSES else FORMAT)


class _Address(_Value):
    def problem(self, value: Any) -> str:
        if not isinstance(value, Mapping) or not set(value) <= set(ADDRESS_KEYS):
            return FORMAT
        if not all(isinstance(part, str) for part in value.values()):
            return FORMAT
        return LENGTH if any(len(part) > LONGEST for part in value.values()) else ""


class _Email(_String):
    def problem(self, value: Any) -> str:
        return super().problem(value) or (EMAIL if value and not first_email(value) else "")


class _Url(_Value):
    def problem(self, value: Any) -> str:
        if not isinstance(value, str) or not value:
            return FORMAT if value else PRESENCE
        return "" if absolute_url(value) == value else URL


class _Time(_Value):
    def problem(self, value: Any) -> str:
        try:
            datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return TIME
        return ""


class _Currency(_String):
    def problem(self, value: Any) -> str:
        return super().problem(value) or ("" if is_currency(value) else FORMAT)


class _Number(_Value):
    lowest: Decimal | None = None

    def problem(self, value: Any) -> str:
        kind = type(value)
        if kind is not Decimal and kind is not int:
            return FORMAT
        if kind is Decimal and not value.is_finite():
            return RANGE
        return RANGE if self.lowest is not None and value < self.lowest else ""


class _NotNegative(_Number):
    lowest = Decimal(0)


class _Strings(_Value):
    def problem(self, value: Any) -> str:
        return "" if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value) else FORMAT


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

    def problem(self, value: Any) -> Any:
        if not isinstance(value, list):
            return FORMAT
        if strangers := [index for index, entry in enumerate(value) if not isinstance(entry, dict)]:
            return {index: [FORMAT] for index in strangers}
        return self.schema.validate(value)


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
        """If both are there, Drip ignores `email`."""
        return {key: value for key, value in body.items() if key != "email"} if body.get("person_id") else body

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def check_person(self, body: dict[str, Any], original: dict[str, Any], **kwargs: Any) -> None:
        """Either `person_id` or `email` is required."""
        if not any(str(original.get(name) or "").strip() for name in ("person_id", "email")):
            raise ValidationError(PRESENCE, "email")


# Names with a meaning at Drip, now or in the past: not available for a custom attribute.
DRIP_ORDER_NAMES = frozenset({*OrderActivity().fields, "discount", "discounts"})


class _Plan:
    """How to check a schema's keys: texts and numbers, which most of them are, without a call for each."""

    def __init__(self, schema: Schema, *left_out: str) -> None:
        self.texts: list[tuple[str, bool]] = []
        """The name of each, and whether it is required."""
        self.numbers: list[tuple[str, bool, Decimal | None]] = []
        """The same, and the lowest value."""
        self.others: list[tuple[str, bool, Callable[[Any], Any]]] = []
        """The same, and what finds a value's problem."""
        for name, field in schema.fields.items():
            if name in left_out or not isinstance(field, _Value):
                continue
            if type(field) is _String:
                self.texts.append((name, field.required))
            elif isinstance(field, _Number):
                self.numbers.append((name, field.required, field.lowest))
            else:
                self.others.append((name, field.required, field.problem))


_ORDER, _ITEM = _Plan(OrderActivity(), "items", "email"), _Plan(OrderActivityItem())
_EMAIL = _Email()


def keeps_contract(body: Mapping[str, Any]) -> bool:
    """Whether a body has no problem. Costs a fraction of `OrderActivity().validate`, which finds every problem that it has."""
    has_person = bool(str(body.get("person_id") or "").strip())
    return (has_person or _has_email(body)) and _keeps(body, _ORDER) and all(_keeps(item, _ITEM) for item in body["items"])


def _has_email(body: Mapping[str, Any]) -> bool:
    email = body.get("email")
    return bool(email) and not _EMAIL.problem(email)


def _keeps(row: Mapping[str, Any], plan: _Plan) -> bool:
    return _texts_keep(row, plan) and _numbers_keep(row, plan) and _others_keep(row, plan)


def _texts_keep(row: Mapping[str, Any], plan: _Plan) -> bool:
    get = row.get
    for name, required in plan.texts:
        value = get(name)
        if value is None:
            if required:
                return False
        elif not isinstance(value, str) or len(value) > LONGEST or (required and not value.strip()):
            return False
    return True


def _numbers_keep(row: Mapping[str, Any], plan: _Plan) -> bool:
    get = row.get
    for name, required, lowest in plan.numbers:
        value = get(name)
        if value is None:
            if required:
                return False
        elif not (value.is_finite() if type(value) is Decimal else type(value) is int) or (lowest is not None and value < lowest):
            return False
    return True


def _others_keep(row: Mapping[str, Any], plan: _Plan) -> bool:
    get = row.get
    for name, required, problem in plan.others:
        value = get(name)
        if required if value is None else problem(value):
            return False
    return True
