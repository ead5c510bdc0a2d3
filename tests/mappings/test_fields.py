"""Fields that read what stores really send: all forms of blank mean the same, and unreadable values are never guessed."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError, fields
from marshmallow.constants import missing

from mappings.core.errors import dotted
from mappings.core.fields import MISSING, Amount, Flag, Id, Number, Part, PayloadSchema, Raw, Rows, Text, TextOrAbsent, Texts, Time

# A busy machine must not fail the tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=30)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))
BLANK = [missing, None, ""]


class Row(PayloadSchema):
    id = Id(required=True)
    price = Number(required=True)


class Address(PayloadSchema):
    email = Text()
    country = Text()


class Bag(PayloadSchema):
    lines = Rows(Row, strict=True)
    extras = Rows(Row)
    address = Part(Address)


def refused(field: fields.Field[Any], value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        field.deserialize(value)
    [why] = caught.value.messages
    return str(why)


@pytest.mark.parametrize(
    ("field", "default"),
    [
        (Id(), ""),
        (Text(), ""),
        (Number(), None),
        (Amount(), Decimal(0)),
        (Time(), None),
        (Flag(), None),
        (Raw(), None),
        (Texts(), ()),
        (Rows(Row), ()),
        (Rows(Row, strict=True), ()),
        (Part(Address), {"email": "", "country": ""}),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("blank", BLANK, ids=["absent", "null", "blank"])
def test_absent_null_and_blank_mean_the_same(field: fields.Field[Any], default: Any, blank: Any) -> None:
    assert field.deserialize(blank) == default


@pytest.mark.parametrize("field", [Id(required=True), Number(required=True), Text(required=True)], ids=lambda field: type(field).__name__)
@pytest.mark.parametrize("blank", BLANK, ids=["absent", "null", "blank"])
def test_a_required_value_that_is_blank_is_missing(field: fields.Field[Any], blank: Any) -> None:
    assert refused(field, blank) == MISSING


class TestId:
    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            (7, "7"),
            ("7", "7"),
            (" 7 ", "7"),
            (9007199254740993, "9007199254740993"),
            ("gid://shopify/Order/7", "gid://shopify/Order/7"),
            (0, "0"),
        ],
    )
    def test_it_is_a_string_whatever_the_store_sends(self, sent: Any, read: str) -> None:
        assert Id().deserialize(sent) == read

    @pytest.mark.parametrize("sent", [True, False, 7.5, Decimal("7.0"), Decimal("7E+3"), Decimal("1E+1000000"), [], {}, [7], {"id": 7}])
    def test_anything_else_is_an_error_instead_of_a_guess(self, sent: Any) -> None:
        assert refused(Id(), sent) == "Not a valid id."

    @pytest.mark.parametrize("sent", ["x" * 256, Decimal("7" * 400)])
    def test_one_over_drips_limit_is_an_error_and_not_cut_off(self, sent: Any) -> None:
        assert refused(Id(), sent) == "Too long for an id."
        assert Id().deserialize("x" * 255) == "x" * 255

    def test_a_required_one_of_spaces_is_missing(self) -> None:
        assert refused(Id(required=True), "  ") == MISSING


class TestText:
    @pytest.mark.parametrize(
        ("sent", "read"), [("  a b ", "a b"), (7, "7"), (Decimal("1.50"), "1.50"), (True, ""), ([], ""), ({"a": 1}, ""), (0, "0")]
    )
    def test_it_is_trimmed_and_a_number_is_its_digits(self, sent: Any, read: str) -> None:
        assert Text().deserialize(sent) == read

    def test_absent_and_blank_can_be_told_apart(self) -> None:
        assert [TextOrAbsent().deserialize(value) for value in (missing, None, "", " x ")] == [None, "", "", "x"]

    def test_a_list_of_texts_has_no_blanks_or_other_types(self) -> None:
        assert Texts().deserialize(["a", "", " b ", None, 7, [], True]) == ("a", "b", "7")
        assert Texts().deserialize("a, b") == ()


class TestNumber:
    @pytest.mark.parametrize(
        ("sent", "digits"),
        [
            (7, "7"),
            ("7.50", "7.50"),
            (" 7.50 ", "7.50"),
            (Decimal("0.1"), "0.1"),
            ("200.0000", "200.0000"),
            ("-5", "-5"),
            ("+5", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e2", "100"),
            (Decimal("1E+15"), "1000000000000000"),
            ("1e-15", "1E-15"),
            (10**15, "1000000000000000"),
        ],
    )
    def test_it_keeps_the_digits_that_the_store_sent(self, sent: Any, digits: str) -> None:
        assert str(Number().deserialize(sent)) == digits

    @pytest.mark.parametrize("zero", [0, "0", "-0", "-0.00", Decimal("-0.0"), "0e1000000", "0e-1000000", Decimal("0E+1000000")])
    def test_zero_has_no_sign_and_no_exponent(self, zero: Any) -> None:
        number = Number().deserialize(zero)
        assert number == 0
        assert "-" not in str(number)
        assert "E" not in str(number)

    @pytest.mark.parametrize(
        ("sent", "read"),
        [(Decimal("19.989999999999998"), "19.99"), (Decimal("0.30000000000000004"), "0.3"), (Decimal("1.23455000001"), "1.2346")],
    )
    def test_binary_noise_is_rounded_away(self, sent: Decimal, read: str) -> None:
        assert Number().deserialize(sent) == Decimal(read)

    def test_six_decimals_and_strings_are_never_noise(self) -> None:
        assert Number().deserialize(Decimal("1.234567")) == Decimal("1.234567")
        assert Number().deserialize("1.23456789") == Decimal("1.23456789")

    @pytest.mark.parametrize(
        "sent", ["1,50", "$5", "5 USD", "NaN", "Infinity", "-inf", "0x10", "1_000", "--5", "1e", ".", "abc", True, False, [], {}, [5], 1.5]
    )
    def test_anything_else_is_an_error_instead_of_a_guess(self, sent: Any) -> None:
        assert refused(Number(), sent) == "Not a valid number."

    @pytest.mark.parametrize(
        "sent",
        [
            Decimal("1E+16"),
            Decimal("1E+400"),
            Decimal("-1E+1000000"),
            Decimal("1E-1000000"),
            Decimal("1E+999999999"),
            "1e1000000",
            "1e-16",
            "1e9999999999999999999999",
            10**16,
            Decimal("7" * 400),
            "7" * 5000,
        ],
        ids=lambda value: str(value)[:12],
    )
    def test_a_huge_number_is_rejected_before_any_arithmetic(self, sent: Any) -> None:
        begun = time.process_time()
        assert refused(Number(), sent) == "Number out of range."
        assert time.process_time() - begun < 1

    def test_blank_is_none_or_0_for_an_amount(self) -> None:
        assert Number().deserialize("  ") is None
        assert Amount().deserialize("  ") == 0

    @PATIENT
    @given(ANYTHING)
    def test_it_is_a_small_finite_number_or_none_or_an_error(self, value: Any) -> None:
        try:
            number = Number().deserialize(value)
        except ValidationError:
            return
        assert number is None or (number.is_finite() and abs(number) < 10**16)


class TestTime:
    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            ("2025-03-01T10:00:00-05:00", datetime(2025, 3, 1, 15, tzinfo=UTC)),
            ("2025-03-01T10:00:00Z", datetime(2025, 3, 1, 10, tzinfo=UTC)),
            ("2025-03-01T10:00:00.25+00:00", datetime(2025, 3, 1, 10, 0, 0, 250000, tzinfo=UTC)),
            ("2025-03-01 10:00:00", datetime(2025, 3, 1, 10, tzinfo=UTC)),  # Magento
            ("2025-03-01T10:00:00", datetime(2025, 3, 1, 10, tzinfo=UTC)),  # WooCommerce's _gmt
        ],
    )
    def test_it_is_in_utc(self, sent: str, read: datetime) -> None:
        moment = Time().deserialize(sent)
        assert moment == read
        assert moment.tzinfo is UTC

    @pytest.mark.parametrize(
        "sent", ["garbage", "0000-00-00 00:00:00", "2025-02-30T00:00:00", "0001-01-01T00:00:00+05:00", 7, True, [], {}]
    )
    def test_an_unreadable_one_is_none(self, sent: Any) -> None:
        assert Time().deserialize(sent) is None

    @PATIENT
    @given(ANYTHING)
    def test_nothing_breaks_it(self, value: Any) -> None:
        moment = Time().deserialize(value)
        assert moment is None or moment.tzinfo is UTC


class TestFlag:
    @pytest.mark.parametrize("sent", [True, 1, "1", "true", "True", " yes "])
    def test_true_in_its_spellings(self, sent: Any) -> None:
        assert Flag().deserialize(sent) is True

    @pytest.mark.parametrize("sent", [False, 0, "0", "false", "No"])
    def test_false_in_its_spellings(self, sent: Any) -> None:
        assert Flag().deserialize(sent) is False

    @pytest.mark.parametrize("sent", ["maybe", 2, Decimal("1E+1000000"), [], {}, [True]])
    def test_anything_else_is_neither(self, sent: Any) -> None:
        assert Flag().deserialize(sent) is None


class TestParts:
    @pytest.mark.parametrize("sent", [[], "", None, False, 7, "x", [1]])
    def test_a_part_that_is_not_an_object_counts_as_empty(self, sent: Any) -> None:
        """PHP encodes an empty object as `[]`."""
        assert Part(Address).deserialize(sent) == {"email": "", "country": ""}

    def test_keys_that_are_not_declared_are_left_out_at_every_level(self) -> None:
        loaded = Bag().load({"address": {"email": "a@b.example", "phone": "1"}, "lines": [{"id": 1, "price": 2, "secret": 3}], "more": 1})
        assert loaded == {
            "address": {"email": "a@b.example", "country": ""},
            "lines": [{"id": "1", "price": Decimal(2)}],
            "extras": (),
        }

    def test_rows_keyed_by_id_are_the_list_of_their_values(self) -> None:
        loaded = Bag().load({"lines": {"17": {"id": 17, "price": "1"}, "18": {"id": 18, "price": "2"}}})
        assert [row["id"] for row in loaded["lines"]] == ["17", "18"]

    @pytest.mark.parametrize("sent", ["x", 7, True, Decimal("1.5")])
    def test_strict_rows_must_be_a_list(self, sent: Any) -> None:
        assert refused(Rows(Row, strict=True), sent) == "Not a valid list."
        assert Rows(Row).deserialize(sent) == ()

    def test_strict_rows_must_be_objects(self) -> None:
        mixed = [{"id": 1, "price": 1}, None, "x"]
        with pytest.raises(ValidationError) as caught:
            Bag().load({"lines": mixed})
        assert dotted(caught.value.messages) == {"lines.1": ["Not a valid object."], "lines.2": ["Not a valid object."]}
        assert len(Bag().load({"extras": mixed})["extras"]) == 1

    def test_a_problem_has_a_dotted_path_and_the_rest_is_still_loaded(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Bag().load({"lines": [{"id": 1, "price": "1"}, {"id": [], "price": "free"}], "address": {"email": " a@b.example "}})
        assert dotted(caught.value.messages) == {"lines.1.id": ["Not a valid id."], "lines.1.price": ["Not a valid number."]}
        assert isinstance(caught.value.valid_data, dict)
        assert caught.value.valid_data["address"]["email"] == "a@b.example"

    @pytest.mark.parametrize("payload", [None, [], "x", 7, True])
    def test_a_payload_that_is_not_an_object_is_an_error_of_the_whole(self, payload: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            Bag().load(payload)
        assert list(dotted(caught.value.messages)) == [""]

    @pytest.mark.slow
    @PATIENT
    @given(st.dictionaries(st.sampled_from(["lines", "extras", "address"]), ANYTHING))
    def test_any_payload_loads_or_raises_a_validation_error(self, payload: dict[str, Any]) -> None:
        problems: dict[str, list[str]] = {}
        try:
            Bag().load(payload)
        except ValidationError as error:
            problems = dotted(error.messages)
        assert {path.split(".")[0] for path in problems} <= {"lines", "extras", "address"}


def test_a_number_with_spaces_around_it_is_read_in_rows_too() -> None:
    assert Bag().load({"lines": [{"id": 1, "price": " 2 "}, {"id": 2, "price": "3"}]})["lines"] == [
        {"id": "1", "price": Decimal(2)},
        {"id": "2", "price": Decimal(3)},
    ]
