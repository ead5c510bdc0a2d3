"""Options of lines: what a person or a gift card owns never leaves, and what the product is stays."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, Options, encode, outcomes
from mappings.core.line_options import Choice, line_options
from tests.support.fixture_cases import RECEIVED_AT
from tests.support.payloads import shapes


def sent(label: str, value: str, key: str | None = None) -> dict[str, str]:
    return line_options([Choice(key=label if key is None else key, label=label, value=value)])


OF_THE_PRODUCT = [
    ("Size", "XL"), ("Engraving style", "Serif"), ("Engraving", "For Nan & Pop"), ("Name", "ANNA"), ("Monogram", "A.B.C."),
    ("\u8272", "\u85cd"), ("Length", "150 cm"), ("Dimensions", "1200 x 800 x 600 mm"), ("Resolution", "1920x1080"),
    ("Color temperature", "2700-6500 K"), ("Shoe", "EU 42 / UK 8 / US 9"), ("Strap", "18/20/22 mm"), ("Ratio", "16:9"),
    ("Weight", "1,250.50 g"), ("RAM", "16GB@3200MHz"), ("Refresh rate", "4K @ 60.5Hz"), ("SKU", "12345678"),
    ("Article", "SKU 12345678"), ("EAN", "4006381333931"), ("Barcode", "4006381333931"), ("ISBN", "978-3-16-148410-0"),
    ("Book", "978-3-16-148410-0"), ("Model", "A1234567"), ("Headphones", "WH-1000-XM4"), ("Part number", "AB-1234-CD56"),
    ("Case", "Samsung SM-S918B/DS"), ("Phone", "iPhone 15 Pro"), ("Phone model", "Galaxy S24"), ("Delivery date", "2026-03-01"),
    ("Date", "01.03.2026 - 05.03.2026"), ("Slot", "03/01/2026 10:00"), ("Starts", "2026-03-01T10:00:00Z"),
    ("Date", "March 3, 2026 10:00 AM - 11:30 AM"), ("Month", "03/2026"), ("Years", "2019-2024"), ("Time", "14:30"),
    ("Version", "1.2.3"), ("License", "Extended"), ("Color code", "RAL 9005"), ("Key", "C major"), ("Top notes", "Bergamot"),
    ("Mailbox color", "Red"), ("Zip", "YKK"), ("Faux fur", "Yes"), ("Emaille-Farbe", "Blau"), ("Gift wrap", "Ribbon & bow (+\u00a32)"),
    ("Gift Card Amount", "$25.00"), ("gift-card-amount", "25"), ("Voucher amount", "50 EUR"), ("Pattern", "BLACK-GREEN-XL"),
    ("Frequency", "Every 4 weeks"), ("Persons", "12"), ("Fabric", "Polyester500denier"),
]  # fmt: skip

NOT_OF_THE_PRODUCT = [
    ("pw_gift_card_number", "ABCD"), ("wc_gc_giftcard_to_multiple", "Mia"), ("higift_to_name", "Mia"), ("giftCardCode", "A1"),
    ("Gift card code", "X1"), ("Gift card", "X1"), ("Voucher", "X1"), ("Gutscheincode", "abc"), ("Geschenkkarten-Nummer", "7"),
    ("To", "Mia"), ("From", "Jo"), ("Ship to", "Mia"), ("Recipient name", "Mia"), ("Empf\u00e4nger", "Mia"), ("Destinataire", "Mia"),
    ("Message", "hi"), ("Your message", "hi"), ("Gift note", "hi"), ("Nachricht", "hi"), ("Mensaje", "hola"), ("Comment", "hi"),
    ("License key", "a"), ("Serial number", "1"), ("Activation code", "a"), ("Download key", "a"), ("Token", "a"), ("Password", "a"),
    ("Code", "a"), ("E-Mail", "a"), ("Street", "Mill Lane 4"), ("Postcode", "4000"), ("Date of birth", "1990-01-01"),
    ("Phone", "12345"), ("Upload", "cat"), ("_internal", "a"), ("job_id", "7781"), ("Call ada@example.com", "yes"),
    ("Size", "ada@example.com"), ("Size", "ada&#64;example.com"), ("Size", "ada%40example.com"), ("Size", "ada\uff20example.com"),
    ("Size", "+49 170 1234567"), ("Size", "(555) 123-4567"), ("Size", "555-123-4567"), ("Size", "555-0199"), ("Size", "0171/1234567"),
    ("Size", "06 12 34 56 78"), ("Size", "4155552671"), ("Size", "+1 (415) 555\u20112671"), ("Size", "00491701234567"),
    ("SKU", "+491701234567"), ("SKU", "555-123-4567"), ("Size", "https://x.example/a"), ("Size", "www.example.com"),
    ("Size", "bit.ly/abc"), ("Size", "<a href='https://x.example/a'>View</a>"), ("Size", "photo.jpg"), ("Size", '{"a":1}'),
    ("Size", 'a:1:{i:0;s:1:"x";}'), ("Size", "x" * 300), ("Size", "8F3K-29QX-77AB"), ("Size", "ABCD-EFGH-JKLM"), ("Size", "A1B2-C3D4-EF"),
    ("Size", "GC8F3K29QX77AB"), ("Size", "giftcard12ab34"), ("Size", "1234 5678 9012 3456"),
    ("Size", "550e8400-e29b-41d4-a716-446655440000"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "value"), OF_THE_PRODUCT)
def test_what_the_shopper_chose_of_the_product_is_sent(label: str, value: str) -> None:
    assert sent(label, value) == {label: value}


@pytest.mark.parametrize(("label", "value"), NOT_OF_THE_PRODUCT)
def test_what_belongs_to_a_person_or_can_be_redeemed_stays_out(label: str, value: str) -> None:
    assert sent(label, value) == {}


def test_a_harmless_label_does_not_hide_a_plugins_key() -> None:
    """WooCommerce Gift Cards shows `wc_gc_giftcard_code` as "Code" in the shop's language, and so for all of its fields."""
    assert sent("Bon", "A1", key="wc_gc_giftcard_code") == {}
    assert sent("An wen?", "Mia", key="pw_gift_card_to") == {}


def test_a_plugins_key_with_a_label_of_its_own_is_an_add_on() -> None:
    assert sent("Font style", "Serif", key="font_style") == {"Font style": "Serif"}
    assert sent("font_style", "Serif") == {}


def test_a_label_given_twice_keeps_both_values() -> None:
    rows = [("Topping", "Cheese"), ("Base", "Thin"), ("Topping", "Ham"), ("Topping", "Cheese")]
    assert line_options(Choice(key, key, value) for key, value in rows) == {"Topping": "Cheese, Ham", "Base": "Thin"}


# --- whatever plugins write, on each platform ------------------------------------------------------------------------------------------

LABELS = st.sampled_from(
    [
        "Size",
        "pa_size",
        "Engraving",
        "Length",
        "SKU",
        "EAN",
        "Model",
        "Phone",
        "Details",
        "Delivery date",
        "Gift wrap",
        "Options",
        "Personalisation",
    ]
)
AROUND = st.sampled_from(["", " ", "call ", "Ada: ", "(", ", ", " - ", "<b>", "2 x ", "01.03.2026 ", "10:30 ", "No. "])
DIGITS = "0123456789"


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=count, max_size=count)


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


PHONES = st.one_of(
    joined(st.sampled_from(["+1 ", "+49", "+44 (0)", "0033 ", "+358-"]), digits(3), st.sampled_from([" ", "-", "", "."]), digits(6)),
    joined(st.sampled_from(["(0", "(2"]), digits(2), st.sampled_from([") ", ")", ")-"]), digits(3), st.sampled_from(["-", " "]), digits(4)),
    joined(digits(3), st.just("-"), digits(3), st.just("-"), digits(4)),
    joined(st.just("0"), digits(3), st.sampled_from(["/", " ", "-"]), digits(7)),
    st.lists(digits(2), min_size=5, max_size=5).map(" ".join),
)
HOSTS = st.sampled_from(["x.example", "shop.example.com", "bit.ly", "sub.domain.co.uk"])
URLS = st.tuples(st.sampled_from(["https://", "http://", "//www.", "HTTPS://", "ftp://"]), HOSTS, st.sampled_from(["/", "/a?b=c", ""])).map(
    "".join
)
CODES = st.lists(st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=4, max_size=4), min_size=3, max_size=4).map("-".join)
CARD_KEYS = st.sampled_from(
    ["pw_gift_card_number", "wc_gc_giftcard_code", "Gift card number", "Giftcard code", "gift-card-code", "Voucher code", "Gutscheincode"]
)
PRIVATE = st.one_of(
    st.tuples(LABELS, st.one_of(st.emails(), PHONES, URLS)),
    st.tuples(LABELS | CARD_KEYS, CODES),
    st.tuples(CARD_KEYS, st.text(DIGITS, min_size=4)),
)


def woocommerce(label: str, value: str) -> Any:
    rows = [{"key": label, "value": value}, {"key": label, "value": value, "display_key": label, "display_value": value}]
    line = {"id": 1, "name": "Tea", "product_id": 7, "quantity": 1, "subtotal": "5", "total": "5", "meta_data": rows}
    meta = [{"key": label, "value": value}, {"key": "_wc_order_attribution_utm_term", "value": value if "@" in value else ""}]
    return {"id": 41, "status": "processing", "total": "5", "billing": {"email": "a@b.example"}, "meta_data": meta, "line_items": [line]}


def shopify(label: str, value: str) -> Any:
    properties = [{"name": label, "value": value}]
    line = {"id": 1, "title": "Tea", "price": "5", "quantity": 1, "product_id": 7, "properties": properties}
    return {"id": 41, "email": "a@b.example", "total_price": "5", "line_items": [line], "note_attributes": properties}


def magento(label: str, value: str) -> Any:
    options = {"options": [{"label": label, "value": value}], "attributes_info": [{"label": label, "value": value}]}
    item = {"item_id": 1, "name": "Tea", "product_id": 7, "qty_ordered": 1, "price": 5, "product_options": options}
    return {"entity_id": 41, "state": "new", "customer_email": "a@b.example", "grand_total": 5, "items": [item]}


def body(name: str, payload: Any, **options: Any) -> str:
    context = Context(
        received_at=RECEIVED_AT, options=Options(store_url="https://store.example", public_url="https://adapter.example", **options)
    )
    [outcome] = outcomes(PROVIDERS[name], encode(payload), context)
    assert "order_id" in outcome, outcome
    return encode(outcome).decode()


@pytest.mark.parametrize("made", [woocommerce, shopify, magento], ids=lambda made: made.__name__)
@given(private=PRIVATE, before=AROUND, after=AROUND)
def test_no_contact_address_or_code_ever_reaches_a_body(made: Any, private: tuple[str, str], before: str, after: str) -> None:
    label, secret = private
    # Fields that the mapping is about stay readable: only the option's own value may be missing.
    text = body(made.__name__, made(label, f"{before}{secret} {after}"))
    assert json.dumps(secret)[1:-1] not in text
    assert secret not in json.loads(text)["items"][0].get("options", {}).values()
    assert not re.search(r'"options":\s*\{', text)


@pytest.mark.parametrize(
    ("made", "paths"),
    [
        (woocommerce, ["meta_data", "line_items", "line_items.0.meta_data", "billing", "line_items.0"]),
        (shopify, ["note_attributes", "line_items.0.properties", "line_items"]),
        (magento, ["items", "items.0.product_options", "items.0.product_options.options"]),
    ],
    ids=lambda made: getattr(made, "__name__", ""),
)
def test_a_path_to_a_whole_list_or_object_sends_nothing(made: Any, paths: list[str]) -> None:
    custom = {f"x{number}": path for number, path in enumerate(paths)}
    text = body(made.__name__, made("Size", "XL"), custom_attributes=custom)
    assert '"x' not in text


@pytest.mark.parametrize("value", ['{"to": "mia@x.example"}', ' [{"a": 1}]', '["A1", "B2"]', 'a:1:{s:2:"to";s:3:"Mia";}', "{}"])
def test_neither_does_one_that_is_kept_as_text(value: str) -> None:
    payload = shopify("Size", "XL") | {"note_attributes": [{"name": "choices", "value": value}]}
    assert '"choices"' not in body("shopify", payload, custom_attributes={"choices": "note_attributes.choices"})
    payload["note_attributes"][0]["value"] = "[Mia] {yes}"
    assert "[Mia] {yes}" in body("shopify", payload, custom_attributes={"choices": "note_attributes.choices"})


def test_a_line_with_endless_options_has_the_first_hundred() -> None:
    choices = [Choice(f"Part {number}", f"Part {number}", "yes") for number in range(100_000)]
    assert list(line_options(choices)) == [f"Part {number}" for number in range(100)]
    hidden = [Choice(f"_{number}", f"_{number}", "yes") for number in range(1_000)]
    assert list(line_options([*hidden, choices[7]])) == ["Part 7"], "hidden ones take no room"


ROWS: dict[str, tuple[str, str, Callable[[str], dict[str, str]]]] = {
    "shopify": ("line_items", "properties", lambda label: {"name": label, "value": "yes"}),
    "woocommerce": ("line_items", "meta_data", lambda label: {"key": label, "value": "yes"}),
    "magento": ("items", "product_options", lambda label: {"label": label, "value": "yes"}),
    "bigcommerce": ("products", "product_options", lambda label: {"display_name": label, "display_value": "yes", "type": "Swatch"}),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_order_with_endless_options_in_many_lines_has_few_in_each(provider: str) -> None:
    lines, options, row = ROWS[provider]
    whole = shapes(provider)[next(iter(shapes(provider)))]
    context = Context(received_at=RECEIVED_AT, options=Options(store_url="https://shop.example"))
    for count, expected in ((2, 100), (200, 50)):
        rows = [[row(f"Part {line} {number}") for number in range(110)] for line in range(count)]
        found = [{**whole[lines][0], options: {"options": each} if provider == "magento" else each} for each in rows]
        [body] = outcomes(PROVIDERS[provider], encode({**whole, lines: found}), context)
        assert {len(item["options"]) for item in body["items"]} == {expected}
