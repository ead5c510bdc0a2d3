"""The fields of a WooCommerce order that are read, in the bodies of REST v1, v2 and v3 and of the legacy API."""

from mappings.core.fields import Amount, Flag, Id, Number, Part, PayloadSchema, Raw, Rows, Text, TextOrAbsent, Time

NO_ID = ("", "0")
"""WooCommerce sends 0 for a missing ID."""


class Image(PayloadSchema):
    # `false` if the attachment was deleted, which counts as blank.
    src = Text()


class LineItem(PayloadSchema):
    id = Id()
    product_id = Id()
    variation_id = Id()
    sku = Text()
    name = Text()
    quantity = Number(required=True)
    subtotal = Number()
    subtotal_tax = Amount()
    total = Number()
    total_tax = Amount()
    image = Part(Image)
    bundled_by = Text()
    composite_parent = Text()
    meta_data = Raw()
    meta = Raw()


class Charge(PayloadSchema):
    """A refund or a fee; only its total is read."""

    total = Amount()


class ShippingLine(PayloadSchema):
    method_title = Text()


class CouponLine(PayloadSchema):
    code = Text()
    discount_type = Text()


class GiftCard(PayloadSchema):
    amount = Amount()


class Person(PayloadSchema):
    email = TextOrAbsent()
    first_name = Text()
    last_name = Text()
    company = Text()
    address_1 = Text()
    address_2 = Text()
    city = Text()
    state = Text()
    postcode = Text()
    country = Text()
    phone = Text()


class PaymentDetails(PayloadSchema):
    method_title = Text()
    paid = Flag()


class WooCommerceOrder(PayloadSchema):
    id = Id(required=True)
    parent_id = Id()
    number = Text()
    order_key = Text()
    status = Text()
    currency = Text()
    prices_include_tax = Flag()
    customer_id = Text()
    created_via = Text()
    # `find` chooses the keys that contain UTC times in the API's version.
    created_at = Time(data_key="_created_at")
    updated_at = Time(data_key="_updated_at")
    date_paid = Time()
    date_paid_gmt = Time()
    total = Number(required=True)
    total_tax = Amount()
    discount_total = Number()
    shipping_total = Number()
    billing = Part(Person)
    shipping = Part(Person)
    payment_method_title = Text()
    payment_url = Text()
    line_items = Rows(LineItem, strict=True)
    fee_lines = Rows(Charge)
    shipping_lines = Rows(ShippingLine)
    coupon_lines = Rows(CouponLine)
    refunds = Rows(Charge)
    gift_cards = Rows(GiftCard)
    meta_data = Raw()
    _links = Raw()
    # The legacy API's own names.
    order_number = Text()
    total_discount = Number()
    total_shipping = Number()
    billing_address = Part(Person)
    shipping_address = Part(Person)
    customer = Part(Person)
    payment_details = Part(PaymentDetails)
    view_order_url = Text()
