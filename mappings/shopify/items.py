"""The items of a Shopify order, with what each cost."""

from decimal import Decimal
from typing import Any

from mappings.core.fields import Text
from mappings.core.line_options import Choice, line_options
from mappings.core.money import ZERO, places, rounded, share
from mappings.core.order import Item
from mappings.core.reading import Loaded
from mappings.core.text import plain, product_name, slug, without_blanks
from mappings.shopify.money import Money

_text = Text().read


def items_and_tips(loaded: Loaded, money: Money, base: str) -> tuple[tuple[Item, ...], Decimal]:
    """The products bought, and the sum of the lines that are tips."""
    returned: dict[str, Decimal] = {}
    for refund in loaded["refunds"]:
        for row in refund["refund_line_items"]:
            returned[row["line_item_id"]] = returned.get(row["line_item_id"], ZERO) + row["quantity"]
    bought, tips = [], ZERO
    for line in loaded["line_items"]:
        if _is_tip(line):
            tips += money.first(line, "price") * line["quantity"]
            continue
        held = line["current_quantity"]
        if held is None:
            held = line["quantity"] - returned.get(line["id"], ZERO)
        bought.append((line, max(ZERO, held)))
    digits = places(money.currency)
    included = bool(loaded["duties_included"])
    standing = [(line, held) for line, held in bought if held > 0]
    # A canceled or fully refunded order still shows what was bought.
    shown = standing or [(line, line["quantity"]) for line, _ in bought]
    return tuple(_item(line, held, money, digits, base, included, len(shown)) for line, held in shown), tips


def _is_tip(line: Loaded) -> bool:
    if line["tip_payment_gateway"] or line["tip_payment_method"]:
        return True
    keyed = line["tip_payment_gateway"] is not None or line["tip_payment_method"] is not None
    return keyed and not line["product_id"]


def _item(line: Loaded, held: Decimal, money: Money, digits: int, base: str, duties_included: bool, lines: int) -> Item:
    ordered = line["quantity"]
    price = money.first(line, "price")
    # Allocations and taxes are for the quantity ordered; total_discount lacks order-wide discounts.
    discounts = share(money.total(line["discount_allocations"], "amount"), held, ordered, digits)
    duties = ZERO if duties_included else sum((money.duty(row) for row in line["duties"]), ZERO)
    if price < 0:
        price, discounts = ZERO, discounts - price * held
    title = line["title"] or line["name"]
    own_id = line["product_id"] or line["variant_id"] or line["sku"]
    product_id = own_id or f"custom-{slug(title) or line['id'] or 'item'}"
    return Item(
        product_id=product_id,
        product_variant_id=line["variant_id"] or product_id,
        sku=line["sku"],
        name=product_name(title, line["sku"] or own_id or line["id"]),
        brand=plain(line["vendor"]),
        price=price,
        quantity=held,
        discounts=discounts,
        taxes=share(money.total(line["tax_lines"], "price"), held, ordered, digits),
        fees=share(duties, held, ordered, digits),
        total=rounded(price * held - discounts, max(digits, 4)),
        built_url=f"{base}/",
        catalog_id=line["product_id"],
        catalog_variant_id=line["variant_id"],
        attributes=without_blanks(
            {
                "line_id": line["id"],
                "variant_title": plain(line["variant_title"]),
                "options": _properties(line["properties"], lines),
                "gift_card": line["gift_card"],
                # Shopify has no set for it.
                "compare_at_price": None if money.presentment else line["compare_at_price"],
            }
        ),
    )


def _properties(rows: Any, lines: int) -> dict[str, str]:
    """What the shopper chose. Apps and themes keep recipients, messages and codes in the same list."""
    if isinstance(rows, dict):
        rows = [{"name": name, "value": value} for name, value in rows.items()]
    if not isinstance(rows, list):
        return {}
    pairs = ((_text(row.get("name")), _text(row.get("value"))) for row in rows if isinstance(row, dict))
    return line_options((Choice(key=name, label=name, value=value) for name, value in pairs), lines)
