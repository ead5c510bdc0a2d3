"""What is read of a Magento order: the schema of its REST body, of event data and of the extensions that add to them."""

from mappings.core.fields import Amount, Flag, Id, Number, Part, PayloadSchema, Raw, Rows, Text, TextOrAbsent, Time


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
    """A line of `items`, or of the Order Notifier's `line_items`, which has `qty`, `price_with_discount`, `url` and `image`."""

    item_id = Id()
    order_id = Id()
    parent_item_id = Id()
    parent_item = Raw()
    product_id = Id()
    product_type = Text()
    product_options = Raw()
    sku = Text()
    name = Text()
    url = Text()
    image = Text()
    price = Number()
    price_incl_tax = Number()
    price_with_discount = Number()
    qty = Number()
    qty_ordered = Number()
    qty_canceled = Amount()
    qty_refunded = Amount()
    qty_shipped = Amount()
    discount_amount = Amount()
    discount_tax_compensation_amount = Amount()
    tax_amount = Amount()
    weee_tax_applied_row_amount = Amount()
    gw_price = Number()
    extension_attributes = Part(LineExtension)


class Extras(PayloadSchema):
    """Amounts of the paid edition: extension attributes over REST, keys of the root in events."""

    gift_cards_amount = Number()
    customer_balance_amount = Number()
    reward_currency_amount = Number()
    gw_price = Number()
    gw_price_refunded = Number()
    gw_items_price = Number()
    gw_items_price_refunded = Number()
    gw_card_price = Number()
    gw_card_price_refunded = Number()


class CustomFee(PayloadSchema):
    custom_fee_amount = Amount()


class Extension(Extras):
    custom_fees = Rows(CustomFee)
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
    discount_tax_compensation_amount = Amount()
    discount_refunded = Amount()
    tax_amount = Amount()
    tax_refunded = Amount()
    shipping_amount = Amount()
    shipping_refunded = Amount()
    total_paid = Amount()
    total_refunded = Amount()
    total_canceled = Number()
    total_due = Number()
    items = Rows(Line, strict=True)
    line_items = Rows(Line, strict=True)
    billing_address = Part(Address)
    shipping_address = Part(Address)
    addresses = Rows(Address)
    payment = Part(Payment)
    extension_attributes = Part(Extension)
    # Put there by `find`.
    envelope_time = Time(data_key="_time")
    envelope_store_id = Text(data_key="_store_id")
    fees = Raw(data_key="_fees")
