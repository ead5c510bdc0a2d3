"""Checks of single values; each raises `ValidationError` with a message for whoever set the value."""

import re
import string

from marshmallow import ValidationError

from adapter.settings.secrets import why_forgeable, why_no_token
from mappings import CONSENTS, absolute_url, is_public_key

_TEMPLATE_FIELDS = {"order_id", "order_public_id", "token"}
_PATH = re.compile(r"[^.\s][^.]*(?:\.[^.]+)+|[^.\s]+_[^.\s]+")


def check_url(value: str) -> None:
    """An absolute address."""
    if not absolute_url(value):
        raise ValidationError("isn't an absolute http(s) address such as https://shop.example")


def check_template(value: str) -> None:
    """An address with placeholders for fields of an order."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
    except ValueError as error:
        raise ValidationError(f"isn't a template: {error}") from None
    if names - _TEMPLATE_FIELDS:
        raise ValidationError(
            f"may contain only {{order_id}}, {{order_public_id}} and {{token}}, not {', '.join(sorted(names - _TEMPLATE_FIELDS))}"
        )
    check_url(value.format(order_id="1", order_public_id="1", token="1"))  # noqa: S106


def check_consent(value: str) -> None:
    """One of the fixed answers, or the path of a flag in the payload."""
    # A word without a dot or an underscore is more likely a typo of a fixed answer than a field.
    if value not in CONSENTS and not _PATH.fullmatch(value):
        raise ValidationError(
            'must be "send", "subscribed", "ignore" or the path of a field in the order, such as meta_data.newsletter_opt_in'
        )


def check_secret(value: str) -> None:
    """A secret that can't be guessed."""
    if why := why_forgeable(value):
        raise ValidationError(why)


def check_short_secret(value: str) -> None:
    """A secret that isn't blank, for the sandbox: nothing that is forged for it reaches Drip."""
    if why := why_forgeable(value, shortest=1):
        raise ValidationError(why)


def check_token(value: str) -> None:
    """A key or token as platforms generate them."""
    if why := why_no_token(value):
        raise ValidationError(why)


def check_not_blank(value: str) -> None:
    """Something."""
    if not value.strip():
        raise ValidationError("is blank")


def check_public_key(value: str) -> None:
    """A key that signatures can be verified with."""
    if not is_public_key(value):
        raise ValidationError("isn't a public RSA key in PEM format, which begins with -----BEGIN PUBLIC KEY-----")
