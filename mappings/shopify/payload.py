"""The schema of a Shopify order: the fields that are read of its REST body, for every API version since 2020."""

from decimal import Decimal
from typing import Any, ClassVar

from mappings.core.fields import Amount, Flag, Id, Number, Part, PayloadSchema, Raw, Rows, Text, TextOrAbsent, Texts, Time, _Field

_number = Number().read


class MoneySet(_Field):
    """`{shop_money: {amount}, presentment_money: {amount}}` as the two amounts, or None each."""

    default: ClassVar[Any] = (None, None)

    def read(self, value: Any) -> tuple[Decimal | None, Decimal | None]:
        return (_side(value.get("shop_money")), _side(value.get("presentment_money"))) if isinstance(value, dict) else (None, None)


def _side(side: Any) -> Decimal | None:
    amount = side.get("amount") if isinstance(side, dict) else None
    return None if amount is None or amount == "" else _number(amount)


class Allocation(PayloadSchema):
    amount = Number()
    amount_set = MoneySet()


class TaxLine(PayloadSchema):
    price = Number()
    price_set = MoneySet()


class Side(PayloadSchema):
    amount = Number()


class Duty(PayloadSchema):
    shop_money = Part(Side)
    presentment_money = Part(Side)


class LineItem(PayloadSchema):
    id = Id()
    product_id = Id()
    variant_id = Id()
    sku = Text()
    title = Text()
    name = Text()
    variant_title = Text()
    vendor = Text()
    price = Number(required=True)
    price_set = MoneySet()
    quantity = Number(required=True)
    current_quantity = Number()
    discount_allocations = Rows(Allocation)
    tax_lines = Rows(TaxLine)
    duties = Rows(Duty)
    properties = Raw()
    gift_card = Flag()
    compare_at_price = Number()
    tip_payment_gateway = TextOrAbsent()
    tip_payment_method = TextOrAbsent()


class ShippingLine(PayloadSchema):
    id = Id()
    title = Text()
    price = Number()
    price_set = MoneySet()
    discount_allocations = Rows(Allocation)
    tax_lines = Rows(TaxLine)
    is_removed = Flag()


class Transaction(PayloadSchema):
    kind = Text()
    status = Text()
    amount = Number()
    amount_set = MoneySet()
    currency = Text()


class RefundLineItem(PayloadSchema):
    line_item_id = Id()
    quantity = Amount()


class OrderAdjustment(PayloadSchema):
    kind = Text()
    amount = Number()
    amount_set = MoneySet()
    tax_amount = Number()
    tax_amount_set = MoneySet()


class RefundShippingLine(PayloadSchema):
    shipping_line_id = Id()
    shipping_line = Part(ShippingLine)
    subtotal_amount_set = MoneySet()
    tax_amount_set = MoneySet()


class Refund(PayloadSchema):
    transactions = Rows(Transaction)
    refund_line_items = Rows(RefundLineItem)
    order_adjustments = Rows(OrderAdjustment)
    refund_shipping_lines = Rows(RefundShippingLine)


class Fulfillment(PayloadSchema):
    status = Text()
    tracking_number = Text()
    tracking_numbers = Texts()
    tracking_url = Text()
    tracking_urls = Texts()


class DiscountCode(PayloadSchema):
    code = Text()


class Address(PayloadSchema):
    first_name = Text()
    last_name = Text()
    company = Text()
    address1 = Text()
    address2 = Text()
    city = Text()
    province = Text()
    zip = Text()
    country_code = Text()
    phone = Text()


class ShopifyOrder(PayloadSchema):
    id = Id(required=True)
    name = Text()
    order_number = Id()
    token = Text()
    email = TextOrAbsent()
    contact_email = TextOrAbsent()
    customer = Raw()
    test = Flag()
    created_at = Time()
    processed_at = Time()
    updated_at = Time()
    cancelled_at = Time()
    cancel_reason = Text()
    financial_status = Text()
    fulfillment_status = Text()
    currency = Text()
    presentment_currency = Text()
    taxes_included = Flag()
    duties_included = Flag()
    buyer_accepts_marketing = Flag()
    total_price = Number()
    total_price_set = MoneySet()
    current_total_price = Number()
    current_total_price_set = MoneySet()
    total_discounts = Number()
    total_discounts_set = MoneySet()
    current_total_discounts = Number()
    current_total_discounts_set = MoneySet()
    total_tax = Number()
    total_tax_set = MoneySet()
    current_total_tax = Number()
    current_total_tax_set = MoneySet()
    total_line_items_price = Number()
    total_line_items_price_set = MoneySet()
    total_shipping_price_set = MoneySet()
    original_total_duties_set = MoneySet()
    current_total_duties_set = MoneySet()
    original_total_additional_fees_set = MoneySet()
    current_total_additional_fees_set = MoneySet()
    total_tip_received = Number()
    line_items = Rows(LineItem, strict=True)
    shipping_lines = Rows(ShippingLine)
    refunds = Rows(Refund)
    fulfillments = Rows(Fulfillment)
    discount_codes = Rows(DiscountCode)
    shipping_address = Part(Address)
    billing_address = Part(Address)
    order_status_url = Text()
    payment_gateway_names = Texts()
    tags = Text()
    source_name = Text()
    customer_locale = Text()
    landing_site = Text()
    referring_site = Text()
