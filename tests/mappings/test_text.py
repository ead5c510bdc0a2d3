"""Strings as stores send them: markup, email addresses, URLs, and values found by path."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings import absolute_url
from mappings.core.text import campaign, first_email, lookup, origin, path_only, plain, product_name, slug, without_blanks

# A busy machine must not fail the tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class TestMarkup:
    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            ("<b>Lamp</b>", "Lamp"),
            ('<span class="a">Lamp</span> <em>XL</em>', "Lamp XL"),
            ("Salt &amp; Pepper", "Salt & Pepper"),
            ("Tee &#8211; L", "Tee \u2013 L"),
            ("&lt;b&gt; for bold", "<b> for bold"),  # tags first, then entities, so that an escaped one survives
            ("&amp;lt;", "&lt;"),  # once, not twice
            ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
            ("I <3 tea", "I <3 tea"),
            ("Lamp<!-- sale -->", "Lamp"),
            ("  a \r\n\t b\u00a0c ", "a b c"),
            ("", ""),
        ],
    )
    def test_tags_are_removed_first_and_entities_decoded_once(self, sent: str, read: str) -> None:
        assert plain(sent) == read

    def test_a_product_without_a_name_gets_its_reference(self) -> None:
        assert product_name("<i> </i>", "SKU-7") == "[product SKU-7]"

    def test_a_name_is_cut_off_at_drips_limit(self) -> None:
        assert product_name("x" * 300, "SKU-7") == "x" * 255

    @pytest.mark.parametrize(("sent", "read"), [("Gift  Wrap!", "gift-wrap"), ("<b>Ödes</b> Land", "ödes-land"), ("--", ""), ("!?", "")])
    def test_a_slug_is_lower_case_words_joined_by_hyphens(self, sent: str, read: str) -> None:
        assert slug(sent) == read


class TestEmail:
    @pytest.mark.parametrize(
        "sent", ["ada@example.com", "  ada@example.com\n", "ada+tag@mail.example.co.uk", "zoë@exämple.example", "a'b@x.example"]
    )
    def test_a_valid_email_address(self, sent: str) -> None:
        assert first_email(sent) == sent.strip()

    @pytest.mark.parametrize(
        "sent", ["", " ", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "ada@example.com, b@example.com",
                 "Ada <ada@example.com>", "ada@@example.com", "ada@example.", "ada@example.com;"]
    )  # fmt: skip
    def test_anything_else_is_none(self, sent: str) -> None:
        assert first_email(sent) == ""

    def test_the_first_valid_one_wins(self) -> None:
        assert first_email("", "none", " b@example.com ", "c@example.com") == "b@example.com"


class TestAddresses:
    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            ("https://shop.example/p?q=1&r=%20#top", "https://shop.example/p?q=1&r=%20#top"),
            (" http://shop.example ", "http://shop.example"),
            ("//cdn.example/a.png", "https://cdn.example/a.png"),
            ("https://shop.example/a b", "https://shop.example/a%20b"),
            ("https://shop.example/tür", "https://shop.example/t%C3%BCr"),
            ('https://shop.example/"><script>', "https://shop.example/%22%3E%3Cscript%3E"),
        ],
    )
    def test_an_absolute_one_is_percent_encoded(self, sent: str, read: str) -> None:
        assert absolute_url(sent) == read

    @pytest.mark.parametrize(
        ("sent", "read"),
        [("/p/7", "https://shop.example/p/7"), ("p/7", "https://shop.example/sub/p/7"), ("https://cdn.example/7", "https://cdn.example/7")],
    )
    def test_a_relative_one_is_joined_to_the_stores_address(self, sent: str, read: str) -> None:
        assert absolute_url(sent, "https://shop.example/sub/") == read

    @pytest.mark.parametrize(
        "sent", ["", "  ", "/p/7", "shop.example/p", "ftp://shop.example", "javascript:alert(1)", "data:text/html,x", "mailto:a@b.example",
                 "https://", "https:///p", "https://[::1", "http://[nonsense]/"]
    )  # fmt: skip
    def test_anything_else_is_none(self, sent: str) -> None:
        assert absolute_url(sent) == ""
        assert origin(sent) == ""

    @pytest.mark.parametrize("sent", ["javascript:alert(1)", "ftp://shop.example", "mailto:a@b.example", "https://[::1"])
    def test_another_scheme_is_not_joined_to_the_stores_address(self, sent: str) -> None:
        assert absolute_url(sent, "https://shop.example/") == ""

    @pytest.mark.parametrize("base", ["", "https://shop.example/"])
    @PATIENT
    @given(text=st.text(max_size=40) | st.text(":/@[]?#%\\.h x\u00e9", max_size=20).map("https://{}".format))
    def test_the_result_is_blank_or_stable(self, base: str, text: str) -> None:
        url = absolute_url(text, base)
        assert not url or url.lower().startswith(("https://", "http://"))
        assert url.isascii()
        assert absolute_url(url) == url
        path_only(text)
        campaign(text)
        assert "@" not in origin(text)

    def test_the_origin_contains_no_path_query_or_password(self) -> None:
        assert origin("https://ada:secret@shop.example:8443/p?token=1") == "https://shop.example:8443"

    @pytest.mark.parametrize(
        ("sent", "read"), [("/p/7?token=1#x", "/p/7"), ("https://shop.example/p?utm_source=a", "/p"), ("", ""), ("https://[::1/p", "")]
    )
    def test_a_landing_page_is_only_its_path(self, sent: str, read: str) -> None:
        assert path_only(sent) == read

    def test_a_campaign_is_its_five_parameters_only(self) -> None:
        query = "utm_source=news&utm_medium=e%20mail&utm_campaign=&utm_term=a&utm_content=b&utm_id=5&token=secret"
        assert campaign(f"/p?{query}") == {"utm_source": "news", "utm_medium": "e mail", "utm_term": "a", "utm_content": "b"}


class TestLookup:
    DOCUMENT: Any = {  # noqa: RUF012 - read only
        "note": "n",
        "zero": 0,
        "no": False,
        "total": Decimal("1.50"),
        "tags": ["a", "b"],
        "customer": {"id": 7, "address": {"city": "Rome"}},
        "note_attributes": [{"name": "gift_message", "value": "Hi"}, {"name": "1", "value": "one"}],
        "meta_data": [{"id": 1, "key": "_vat", "value": "IT1"}, {"id": 2, "key": "deep", "value": {"a": 1}}],
        "attributes": [{"attribute_code": "po", "value": "P-1"}, "stray", None],
        "lines": [{"sku": "A"}, {"sku": "B"}],
    }

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("note", "n"),
            ("zero", 0),
            ("no", False),
            ("total", Decimal("1.50")),
            ("tags", ["a", "b"]),
            ("tags.1", "b"),
            ("customer.address.city", "Rome"),
            ("note_attributes.gift_message", "Hi"),
            ("note_attributes.1", "one"),  # a name goes before an index
            ("meta_data._vat", "IT1"),
            ("attributes.po", "P-1"),
            ("lines.1.sku", "B"),
        ],
    )
    def test_a_step_is_a_key_an_index_or_the_name_of_an_entry(self, path: str, value: Any) -> None:
        assert lookup(self.DOCUMENT, path) == value

    @pytest.mark.parametrize(
        "path", ["", "none", "customer", "customer.none", "note.x", "tags.2", "tags.-1", "lines", "lines.5.sku", "meta_data.deep",
                 "note_attributes.none", "attributes.2", "total.x"]
    )  # fmt: skip
    def test_a_missing_or_nested_value_is_none(self, path: str) -> None:
        assert lookup(self.DOCUMENT, path) is None

    @pytest.mark.parametrize("number", ["1E+400", "1E+1000000", "1E+999999999", "1E-1000000"])
    def test_a_huge_number_is_not_a_value(self, number: str) -> None:
        assert lookup({"n": Decimal(number)}, "n") is None
        assert lookup({"n": [1, Decimal(number)]}, "n") is None

    @pytest.mark.parametrize("document", [None, [], "x", 7, [[1]], [None]])
    def test_any_document_can_be_searched(self, document: Any) -> None:
        assert lookup(document, "a.0.b") is None


def test_blanks_are_left_out_and_false_and_0_are_values() -> None:
    kept = {"no": False, "zero": 0, "nil": Decimal("0.00"), "text": "x", "list": [""], "space": " "}
    assert without_blanks({**kept, "a": None, "b": "", "c": [], "d": {}, "e": ()}) == kept
