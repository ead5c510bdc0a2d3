"""Parsing and encoding JSON, with the bytes that stores, proxies and attackers really send."""

import gzip
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings import Rejected, encode, parse

# A busy machine must not fail the tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOM = b"\xef\xbb\xbf"
TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**39), 10**39) | st.decimals(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def why_not(payload: bytes) -> str:
    """The message for a payload that isn't JSON."""
    with pytest.raises(Rejected) as caught:
        parse(payload)
    [(path, [why])] = caught.value.problems.items()
    assert path == ""
    return why


class TestWhatIsNotJson:
    @pytest.mark.parametrize(
        ("payload", "at"),
        [
            (b"webhook_id=7", 0),
            (b'{"id": 7,}', 9),
            (b'{"id": 7', 8),
            (b'{"id": 7} <!-- cached -->', 10),
            ('{"née": x}'.encode(), 9),  # bytes are counted, not characters
            (BOM + b'{"id": 7,}', 12),
            (b'{"name": "a\x00b"}', 11),
        ],
    )
    def test_the_position_at_which_a_payload_stops_being_json_is_reported(self, payload: bytes, at: int) -> None:
        assert why_not(payload).startswith("not JSON: ")
        assert why_not(payload).endswith(f" at byte {at}")

    @pytest.mark.parametrize(
        ("payload", "at"),
        [
            (b'{"name": "caf\xe9"}', 13),  # Latin-1
            (b'{"name": "\xed\xa0\x80"}', 10),  # a surrogate, encoded as some Java programs do
            (BOM + b'{"name": "\xe9"}', 13),
            (b'{"name": "\xc3', 10),
        ],
    )
    def test_the_position_at_which_a_payload_stops_being_utf8_is_reported(self, payload: bytes, at: int) -> None:
        assert why_not(payload) == f"not JSON: not UTF-8 at byte {at}"

    @pytest.mark.parametrize(
        ("payload", "why"),
        [
            (b"", "empty"),
            (b" \r\n\t", "empty"),
            (gzip.compress(b"{}", mtime=0), "compressed with gzip; unpack it first"),
            ("{}".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
            ("\ufeff{}".encode("utf-16-be"), "UTF-16 text; save it as UTF-8"),
            (b'{"id": 7}\n{"id": 8}', "something else follows the document at byte 10"),
        ],
    )
    def test_what_the_bytes_are_instead_is_named(self, payload: bytes, why: str) -> None:
        assert why_not(payload) == f"not JSON: {why}"

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
    def test_numbers_that_json_does_not_have_are_rejected(self, number: str) -> None:
        assert why_not(f'{{"total": {number}}}'.encode()) == f"not JSON: {number} isn't a JSON number"

    @pytest.mark.parametrize("payload", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 3_000_000])
    def test_thousands_of_levels_are_rejected_safely(self, payload: bytes) -> None:
        assert why_not(payload) == "nested in more than 100 levels, which MAX_NESTING allows"

    def test_the_payload_itself_is_not_in_the_message(self) -> None:
        assert "ada@example.com" not in why_not(b'{"email": "ada@example.com" oops}')


class TestWhatIsRead:
    def test_a_byte_order_mark_is_ignored(self) -> None:
        assert parse(BOM + b'{"id": 7}') == {"id": 7}

    def test_the_last_of_two_equal_keys_counts(self) -> None:
        assert parse(b'{"total": "1.00", "id": 7, "total": "2.00"}') == {"total": "2.00", "id": 7}

    def test_ids_beyond_2_to_the_53_keep_every_digit(self) -> None:
        document = parse(b'{"id": 9007199254740993, "far": 820982911946154508820982911946154508}')
        assert document == {"id": 9007199254740993, "far": 820982911946154508820982911946154508}
        assert type(document["id"]) is int

    def test_money_is_exact(self) -> None:
        document = parse(b'{"total": 0.1, "tax": 19.989999999999998, "trailing": 10.50}')
        assert {key: str(value) for key, value in document.items()} == {"total": "0.1", "tax": "19.989999999999998", "trailing": "10.50"}

    @pytest.mark.parametrize("digits", [400, 5000])
    @pytest.mark.parametrize("form", ["{}", "-{}", "{}.5", "0.{}"])
    def test_numbers_of_thousands_of_digits_are_read_and_keep_them(self, digits: int, form: str) -> None:
        number = form.format("7" * digits)
        assert parse(f"[{number}]".encode()) == [Decimal(number)]
        assert encode(parse(number.encode())).decode() == str(Decimal(number))

    @pytest.mark.parametrize("number", ["1e1000000", "1e-1000000", "-7.5E+999999999", "1e400", "0e1000000"])
    def test_an_exponent_of_a_million_takes_no_time(self, number: str) -> None:
        begun = time.process_time()
        assert isinstance(parse(number.encode()), Decimal)
        encode(parse(number.encode()))
        # `int(Decimal("1e1000000"))` takes half a minute.
        assert time.process_time() - begun < 1

    def test_an_exponent_that_no_decimal_can_hold_stays_as_it_was_written(self) -> None:
        assert parse(b'{"total": 1e9999999999999999999999}') == {"total": "1e9999999999999999999999"}


class TestWhatCannotBeStored:
    @pytest.mark.parametrize("escape", [r"\u0000", r"\ud800", r"\uDBFF", r"\udc00", r"\uDFFF", r"\udcff", r"\uDDDD", r"\uded1"])
    def test_nul_and_lone_surrogates_become_the_replacement_character_in_keys_and_values(self, escape: str) -> None:
        document = parse(f'{{"a{escape}b": "c{escape}d", "rows": [{{"{escape}": ["{escape}", 1, null]}}]}}'.encode())
        assert document == {"a\ufffdb": "c\ufffdd", "rows": [{"\ufffd": ["\ufffd", 1, None]}]}
        encode(document)  # which a surrogate would break

    def test_a_bare_string_is_cleaned_too(self) -> None:
        assert parse(rb'"\u0000"') == "\ufffd"

    def test_surrogates_in_the_wrong_order_are_two_lone_ones(self) -> None:
        assert parse(rb'"\ude00\ud83d"') == "\ufffd\ufffd"

    def test_a_valid_pair_is_kept_next_to_a_lone_one(self) -> None:
        assert parse(rb'{"\ud83d\ude00": "\ud83d\ude00 \ud83d"}') == {"\U0001f600": "\U0001f600 \ufffd"}

    def test_an_escaped_backslash_before_a_u_is_text(self) -> None:
        assert parse(rb'{"path": "C:\\u0000"}') == {"path": r"C:\u0000"}

    def test_it_is_cleaned_at_any_depth_that_the_parser_reads(self) -> None:
        depth = 100
        node = parse(b"[" * depth + rb'"\u0000"' + b"]" * depth)
        for _ in range(depth):
            [node] = node
        assert node == "\ufffd"


class TestEncode:
    def test_numbers_are_numbers_with_all_their_digits(self) -> None:
        body = {
            "grand_total": Decimal("19.90"),
            "tax": Decimal("0.1"),
            "quantity": 2,
            "large": Decimal("123456789012345678901234567890.12"),
        }
        assert encode(body) == b'{"grand_total":19.90,"tax":0.1,"quantity":2,"large":123456789012345678901234567890.12}'

    def test_text_is_utf8_without_escapes(self) -> None:
        assert encode({"name": "Café 😀 / \u2028"}) == '{"name":"Café 😀 / \u2028"}'.encode()

    def test_true_false_and_null_are_not_numbers(self) -> None:
        assert encode([True, False, None, 1, 0]) == b"[true,false,null,1,0]"


@pytest.mark.slow
@pytest.mark.no_cover
@PATIENT
@given(JSON)
def test_every_document_survives_encoding_and_parsing(document: Any) -> None:
    assert parse(encode(document)) == document


@pytest.mark.slow
@pytest.mark.no_cover
@PATIENT
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,40})\.[0-9]{1,40}([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_keeps_its_digits(number: str) -> None:
    assert Decimal(encode(parse(number.encode())).decode()).as_tuple() == Decimal(number).as_tuple()


@PATIENT
@given(st.binary(max_size=60) | TEXT.map(lambda text: text.encode()) | TEXT.map(lambda text: json.dumps(text).encode()[:-1]))
def test_any_bytes_are_a_document_or_are_rejected(payload: bytes) -> None:
    problems: dict[str, list[str]] = {}
    try:
        parse(payload)
    except Rejected as rejected:
        problems = rejected.problems
    assert set(problems) <= {""}


@PATIENT
@given(JSON)
def test_the_fast_parser_and_pythons_own_read_the_same(document: Any) -> None:
    payload = encode(document)
    assert repr(parse(payload)) == repr(json.loads(payload, parse_float=Decimal))
