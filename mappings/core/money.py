"""Exact amounts: currencies, and rounding of what is computed."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

ZERO = Decimal(0)
_UNKNOWN_MINOR_UNIT = 2
_UNIT_PRICE_PLACES = 4


@cache
def _minor_units() -> Mapping[str, int | None]:
    """Each currency's decimals. Loaded by the first order: a process that only verifies webhooks never needs the list."""
    from iso_4217 import Currency  # noqa: PLC0415

    return {currency.name: currency.subunit_exp for currency in Currency}


def is_currency(code: str) -> bool:
    """Whether `code` is an ISO 4217 code or once was one: orders of 2025 in Bulgaria were in BGN."""
    return code in _minor_units()


def places(currency: str, sent: Iterable[Decimal] = ()) -> int:
    """The decimals of computed amounts: the currency's minor unit, or as many as the store sent."""
    minor = _minor_units().get(currency)
    return max([_UNKNOWN_MINOR_UNIT if minor is None else minor, *map(needed_decimals, sent)])


def rounded(amount: Decimal, digits: int) -> Decimal:
    """Round half up to at most `digits` decimals; an amount with fewer keeps its digits."""
    if decimals(amount) > digits:
        amount = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return amount + ZERO if amount else abs(amount)  # no negative zero


def unit_price(amount: Decimal) -> Decimal:
    """A computed price of one unit: up to four decimals, without trailing zeros after the second."""
    price = rounded(amount, _UNIT_PRICE_PLACES)
    in_cents = rounded(price, 2)
    return in_cents if price == in_cents else price


def share(amount: Decimal, part: Decimal, whole: Decimal, digits: int) -> Decimal:
    """The part of a line's amount that belongs to `part` of its `whole` quantity."""
    return amount if part == whole or not whole else rounded(amount * part / whole, digits)


def decimals(amount: Decimal) -> int:
    """The number of decimals that an amount is written with."""
    return len(f"{amount:f}".partition(".")[2])


def needed_decimals(amount: Decimal) -> int:
    """The same without the zeros at the end."""
    return len(f"{amount:f}".partition(".")[2].rstrip("0"))
