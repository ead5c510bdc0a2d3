"""Rounding and shares of computed amounts; amounts that a store sent keep their digits."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from mappings.core.money import _minor_units, is_currency, places, rounded, share, unit_price
from mappings.shopify.payload import MoneySet

# A busy machine must not fail the tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
AMOUNTS = st.decimals(min_value=-(10**12), max_value=10**12, places=4)


class TestRounding:
    @pytest.mark.parametrize(
        ("amount", "digits", "result"),
        [
            ("1.005", 2, "1.01"),  # half up, where a float would give 1.00
            ("1.0049", 2, "1.00"),
            ("2.5", 0, "3"),  # not half even
            ("-1.005", 2, "-1.01"),
            ("0.125", 2, "0.13"),
            ("9.999", 2, "10.00"),
            ("1.0005", 3, "1.001"),
        ],
    )
    def test_it_rounds_half_up(self, amount: str, digits: int, result: str) -> None:
        assert str(rounded(Decimal(amount), digits)) == result

    @pytest.mark.parametrize(("amount", "digits"), [("1", 2), ("1.5", 2), ("1.50", 2), ("19.99", 4)])
    def test_an_amount_with_fewer_decimals_keeps_the_digits_it_has(self, amount: str, digits: int) -> None:
        assert str(rounded(Decimal(amount), digits)) == amount

    @pytest.mark.parametrize("amount", ["-0.001", "-0.00", "-0", "0", "-0.0049"])
    def test_there_is_no_negative_zero(self, amount: str) -> None:
        assert not rounded(Decimal(amount), 2).is_signed()
        assert not unit_price(Decimal(amount) / 1000).is_signed()

    @PATIENT
    @given(AMOUNTS, st.integers(0, 4))
    def test_it_is_never_off_by_more_than_half_a_unit(self, amount: Decimal, digits: int) -> None:
        assert abs(rounded(amount, digits) - amount) <= Decimal(1).scaleb(-digits) / 2

    @pytest.mark.parametrize(
        ("amount", "price"),
        [("3.33333333", "3.3333"), ("1.23455", "1.2346"), ("2.50000", "2.50"), ("1.1200", "1.12"), ("1.1230", "1.1230"), ("10", "10")],
    )
    def test_a_unit_price_has_four_decimals_at_most_and_two_if_that_is_exact(self, amount: str, price: str) -> None:
        assert str(unit_price(Decimal(amount))) == price


class TestPlaces:
    @pytest.mark.parametrize(
        ("currency", "digits"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("CLP", 0), ("KWD", 3), ("CLF", 4), ("BTC", 2), ("", 2), ("XXX", 2)]
    )
    def test_they_are_the_currencys_minor_unit_or_two(self, currency: str, digits: int) -> None:
        assert places(currency) == digits

    @pytest.mark.parametrize(
        ("currency", "sent", "digits"),
        [("USD", "1.2345", 4), ("USD", "200.0000", 2), ("JPY", "1.50", 1), ("KWD", "1.5", 3), ("USD", "100", 2), ("USD", "1E+2", 2)],
    )
    def test_a_store_that_sends_more_decimals_gets_more(self, currency: str, sent: str, digits: int) -> None:
        assert places(currency, [Decimal(0), Decimal(sent)]) == digits

    def test_the_list_of_currencies_is_loaded_once(self) -> None:
        _minor_units.cache_clear()
        assert _minor_units() is _minor_units()

    @pytest.mark.parametrize("code", ["USD", "JPY", "XAU", "BGN", "HRK", "SLL"])
    def test_a_code_that_is_or_was_iso_4217_is_a_currency(self, code: str) -> None:
        assert is_currency(code)

    @pytest.mark.parametrize("code", ["", "usd", "BTC", "US", "USDT", "IRT", "$"])
    def test_codes_that_plugins_invent_are_not_currencies(self, code: str) -> None:
        assert not is_currency(code)


class TestShare:
    def test_it_is_prorated_to_the_quantity_held(self) -> None:
        assert share(Decimal("10.00"), Decimal(1), Decimal(3), 2) == Decimal("3.33")
        assert share(Decimal("10.00"), Decimal(2), Decimal(3), 2) == Decimal("6.67")
        assert share(Decimal("100"), Decimal(1), Decimal(3), 0) == Decimal("33")
        assert share(Decimal("10.00"), Decimal("0.5"), Decimal("2.5"), 2) == Decimal("2.00")

    def test_the_whole_keeps_its_digits(self) -> None:
        assert str(share(Decimal("10.12345"), Decimal(3), Decimal("3.0"), 2)) == "10.12345"

    def test_nothing_held_is_nothing(self) -> None:
        assert share(Decimal("10.00"), Decimal(0), Decimal(3), 2) == 0

    def test_the_amount_of_a_line_of_0_stays(self) -> None:
        assert share(Decimal("10.00"), Decimal(0), Decimal(0), 2) == Decimal("10.00")

    @PATIENT
    @given(st.decimals(0, 10**9, places=2), st.integers(1, 1000), st.integers(0, 1000))
    def test_two_parts_are_the_whole_but_for_a_cent(self, amount: Decimal, whole: int, part: int) -> None:
        part = min(part, whole)
        parts = [share(amount, Decimal(size), Decimal(whole), 2) for size in (part, whole - part)]
        assert all(0 <= each <= amount for each in parts)
        assert abs(sum(parts) - amount) <= Decimal("0.01")


class TestShopifysSets:
    """An amount in the shop's currency and in the shopper's."""

    @pytest.mark.parametrize(
        ("sent", "amounts"),
        [
            ({"shop_money": {"amount": "1.50"}, "presentment_money": {"amount": "2"}}, (Decimal("1.50"), Decimal(2))),
            ({"shop_money": {"amount": "0.00"}}, (Decimal(0), None)),
            ({"shop_money": None, "presentment_money": []}, (None, None)),
            ({}, (None, None)),
            ([], (None, None)),
            ("1.50", (None, None)),
        ],
    )
    def test_what_is_not_there_is_none(self, sent: Any, amounts: tuple[Decimal | None, Decimal | None]) -> None:
        assert MoneySet().deserialize(sent) == amounts

    @pytest.mark.parametrize("amount", ["free", True, [1], Decimal("1E+400"), "1e1000000"])
    @pytest.mark.parametrize("side", ["shop_money", "presentment_money"])
    def test_what_is_there_and_unreadable_is_an_error(self, side: str, amount: Any) -> None:
        with pytest.raises(ValidationError):
            MoneySet().deserialize({side: {"amount": amount}})
