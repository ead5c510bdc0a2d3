"""Whether a shopper opted in to marketing, and the `initial_status` that Drip gets for it.

Drip's Order Activity page: "If this field is not included, the person will become subscribed." Placing an order is not an opt-in, so
every body carries `unsubscribed` unless the shopper opted in. Drip applies it to new people only.
"""

from decimal import Decimal
from typing import Any

from mappings.core.text import lookup

SEND, SUBSCRIBED, IGNORE = "send", "subscribed", "ignore"
CONSENTS = (SEND, SUBSCRIBED, IGNORE)
"""The values of the store setting `consent` that aren't a path: as the platform reports it, always subscribed, or left to Drip."""
_YES = ("1", "true", "yes", "y", "on", "subscribed")


def opted_in(payload: Any, path: str) -> bool:
    """Whether the flag at a path of the payload says yes; a list of values does if each of them does."""
    value = lookup(payload, path)
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(_is_yes(each) for each in values)


def initial_status(consent: str, accepts_marketing: bool | None) -> str:
    """Drip's `initial_status` by a store's setting `consent`; "" to leave the field out."""
    if consent == IGNORE:
        return ""
    if consent == SUBSCRIBED:
        return "active"
    return "" if accepts_marketing else "unsubscribed"


def is_path(consent: str) -> bool:
    """Whether the setting names a flag in the payload, instead of one answer for every order."""
    return consent not in CONSENTS


def _is_yes(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _YES
    return isinstance(value, (int, Decimal)) and value == 1  # True is 1
