"""The fields that the mapping reads: the schema for orders over REST, in events, and from extensions that add their own fields."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from mappings.core.errors import Rejected
from mappings.core.fields import Amount, Flag, Id, Number, Part, PayloadSchema, Raw, Rows, Text, TextOrAbsent, Texts, Time
from mappings.core.json import parse

_number = Number().read


def objects(rows: Any) -> list[dict[str, Any]]:
    """The objects in a list, or in an object that PHP made of a list."""
    entries: Iterable[Any] = rows.values() if isinstance(rows, dict) else rows if isinstance(rows, list) else ()
    return [row for row in entries if isinstance(row, dict)]


def unpacked(value: Any) -> Any:
    """A value parsed from JSON text. Magento's database stores some values as such text, and templates and dumps contain it as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parse(value.encode())
    except Rejected:
        return None


class Hint(Raw):
    """A number that only improves the result: None if it can't be read, so that it never blocks an order."""

    def read(self, value: Any) -> Decimal | None:
        try:
            return _number(value)
        except ValidationError:
            return None


class Lost(Amount):
    """A sum of what was refunded or canceled. Below 0 it would raise the order's total, and counts as 0."""

    def read(self, value: Any) -> Decimal:
        return max(self.default, super().read(value))


class Address(PayloadSchema):
    address_type = Text()
    email = TextOrAbsent()
    firstname = Text()
    lastname = Text()
    company = Text()
    street = Raw()
    city = Text()
    region = Text()
    postcode = Text()
    country_id = Text()
    telephone = Text()
    parent_id = Id()


class Payment(PayloadSchema):
    method = Text()
    additional_information = Raw()
    parent_id = Id()


class LineExtension(PayloadSchema):
    gw_price = Number()


class Line(PayloadSchema):
    """A line in `items`, or in Order Notifier's `line_items`, which have `qty`, `price_with_discount`, `url` and `image`."""

    id = Id()
    item_id = Id()
    order_id = Id()
    parent_item_id = Id()
    parent_item = Raw()
    product_id = Id()
    product_type = Text()
    product_options = Raw()
    is_virtual = Flag()
    sku = Text()
    name = Text()
    url = Text()
    image = Text()
    price = Number()
    base_price = Hint()
    row_total = Hint()
    price_incl_tax = Number()
    price_with_discount = Number()
    qty = Number()
    qty_ordered = Number()
    qty_canceled = Amount()
    qty_refunded = Amount()
    qty_shipped = Amount()
    discount_amount = Amount()
    discount_tax_compensation_amount = Amount()
    discount_tax_compensation_canceled = Hint()
    tax_amount = Amount()
    weee_tax_applied_row_amount = Amount()
    gw_price = Number()
    extension_attributes = Part(LineExtension)


class Extras(PayloadSchema):
    """Amounts of the paid edition: in `extension_attributes` over REST, at the root in events."""

    gift_cards_amount = Number()
    customer_balance_amount = Number()
    reward_currency_amount = Number()
    gw_price = Number()
    gw_price_invoiced = Hint()
    gw_price_refunded = Number()
    gw_items_price = Number()
    gw_items_price_invoiced = Hint()
    gw_items_price_refunded = Number()
    gw_card_price = Number()
    gw_card_price_invoiced = Hint()
    gw_card_price_refunded = Number()


class CustomFee(PayloadSchema):
    """A fee from Adobe's Admin UI SDK (its module AdminUiSdkCustomFees, Api/Data/CustomFeesInterface)."""

    custom_fee_amount = Amount()
    custom_fee_amount_invoiced = Hint()
    custom_fee_amount_refunded = Amount()


class Extension(Extras):
    coupon_codes = Texts()
    custom_fees = Rows(CustomFee)
    payment_additional_info = Raw()
    shipping_assignments = Raw()


class MagentoOrder(Extras):
    entity_id = Id()
    id = Id()
    increment_id = Id()
    store_id = Id()
    store_name = Text()
    state = Text()
    status = Text()
    created_at = Time()
    updated_at = Time()
    customer_email = TextOrAbsent()
    customer_is_guest = Flag()
    order_currency_code = Text()
    coupon_code = Text()
    shipping_description = Text()
    grand_total = Number()
    subtotal = Number()
    discount_amount = Amount()
    discount_invoiced = Hint()
    discount_canceled = Number()
    discount_refunded = Amount()
    discount_tax_compensation_amount = Amount()
    discount_tax_compensation_refunded = Amount()
    shipping_discount_tax_compensation_amount = Amount()
    tax_amount = Amount()
    tax_invoiced = Hint()
    tax_canceled = Number()
    tax_refunded = Amount()
    shipping_amount = Amount()
    shipping_invoiced = Hint()
    shipping_canceled = Number()
    shipping_refunded = Amount()
    total_paid = Amount()
    total_refunded = Lost()
    total_canceled = Lost()
    total_due = Number()
    items = Rows(Line, strict=True)
    line_items = Rows(Line, strict=True)
    billing_address = Part(Address)
    shipping_address = Part(Address)
    addresses = Rows(Address)
    payment = Part(Payment)
    extension_attributes = Part(Extension)
    # Added by `find`.
    envelope_time = Time(data_key="_time")
    envelope_store_id = Text(data_key="_store_id")
