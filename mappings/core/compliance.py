"""A platform's request about personal data, which comes as a delivery of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Compliance:
    """A request about one shopper or about a whole shop. Read from the signed body, never from headers alone."""

    kind: Literal["data_request", "customer_redact", "shop_redact"]
    """List a shopper's data; erase it; erase all data of the shop."""
    shop: str
    """The shop's name, as the platform writes it."""
    shop_headers: tuple[str, ...] = ()
    """The headers of other deliveries that contain that name, since the request may have been sent to another shop's address."""
    email: str = field(default="", repr=False)
    """Blank if the shopper's account is already gone and the request only lists orders."""
    order_ids: tuple[str, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    """Path -> value: a payload with that value is the shopper's, whatever its email address."""


def no_compliance(document: Any, context: Any) -> Compliance | None:
    """Most platforms send no such requests."""
    return None
