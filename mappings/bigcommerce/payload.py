"""The fields of a BigCommerce order that are read.

The payload is an order of `GET /v2/orders/{id}`, in which the links `products`, `coupons` and `shipments` are replaced by what they lead
to, with the `refunds` of the v3 API. Amounts are strings with four decimals, times have the form of RFC 2822.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mappings.core.fields import Amount, Flag, Id, Number, Part, PayloadSchema, Rows, Text, TextOrAbsent, Time

NO_ID = ("", "0")
"""BigCommerce sends 0 for a missing ID: a guest, a custom product."""


class MailTime(Time):
    """A time as in mail, `Tue, 03 Mar 2026 09:14:02 +0000`, or in ISO 8601; None if it can't be read."""

    def read(self, value: object) -> datetime | None:
        """The time in UTC."""
        try:
            moment = parsedate_to_datetime(str(value))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            return super().read(value)


class Option(PayloadSchema):
    display_name = Text()
    display_value = Text()
    type = Text()


class AppliedDiscount(PayloadSchema):
    amount = Amount()


class Line(PayloadSchema):
    id = Id()
    product_id = Id()
    variant_id = Id()
    parent_order_product_id = Text()
    is_bundled_product = Flag()
    name = Text()
    sku = Text()
    brand = Text()
    quantity = Number(required=True)
    quantity_refunded = Amount()
    price_ex_tax = Number()
    price_inc_tax = Number()
    total_tax = Amount()
    applied_discounts = Rows(AppliedDiscount)
    product_options = Rows(Option)


class Coupon(PayloadSchema):
    code = Text()


class Shipment(PayloadSchema):
    tracking_number = Text()
    tracking_link = Text()
    generated_tracking_link = Text()


class Payment(PayloadSchema):
    amount = Amount()
    is_declined = Flag()


class Refund(PayloadSchema):
    total_amount = Amount()
    payments = Rows(Payment)


class Fee(PayloadSchema):
    cost_ex_tax = Amount()
    cost_inc_tax = Amount()


class Billing(PayloadSchema):
    email = TextOrAbsent()
    first_name = Text()
    last_name = Text()
    company = Text()
    street_1 = Text()
    street_2 = Text()
    city = Text()
    state = Text()
    zip = Text()
    country_iso2 = Text()
    phone = Text()


class Customer(PayloadSchema):
    """The account of the shopper; read only if the billing address lacks an email address."""

    email = Text()


class BigCommerceOrder(PayloadSchema):
    id = Id(required=True)
    status_id = Text()
    status = Text()
    payment_status = Text()
    payment_method = Text()
    order_source = Text()
    channel_id = Text()
    customer_id = Text()
    customer_locale = Text()
    date_created = MailTime()
    date_modified = MailTime()
    default_currency_code = Text()
    is_tax_inclusive_pricing = Flag()
    is_email_opt_in = Flag()
    subtotal_ex_tax = Amount()
    subtotal_inc_tax = Amount()
    shipping_cost_ex_tax = Amount()
    shipping_cost_inc_tax = Amount()
    handling_cost_ex_tax = Amount()
    handling_cost_inc_tax = Amount()
    wrapping_cost_ex_tax = Amount()
    wrapping_cost_inc_tax = Amount()
    total_inc_tax = Number(required=True)
    total_tax = Amount()
    discount_amount = Amount()
    coupon_discount = Amount()
    gift_certificate_amount = Amount()
    store_credit_amount = Amount()
    billing_address = Part(Billing)
    customer = Part(Customer)
    products = Rows(Line, strict=True)
    coupons = Rows(Coupon)
    shipments = Rows(Shipment)
    refunds = Rows(Refund)
    fees = Rows(Fee)
