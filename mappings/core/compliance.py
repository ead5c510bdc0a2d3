"""What a platform asks to be done with personal data, in a request of its own that is no order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Compliance:
    """A request about a shopper of one shop, or about the whole shop. Read from the signed body, never from headers alone."""

    kind: Literal["data_request", "customer_redact", "shop_redact"]
    """Tell what is kept of a shopper; erase it; erase all that is kept of the shop."""
    shop: str
    """The shop's own name, as the platform writes it."""
    shop_headers: tuple[str, ...] = ()
    """Headers of other deliveries that hold that name: the request may have come to another shop's address."""
    email: str = field(default="", repr=False)
    """Blank where the shopper's account is gone already, and only orders are named."""
    order_ids: tuple[str, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    """Path -> value: a payload that has it there is of this shopper, whatever address it carries."""


def no_compliance(document: Any, context: Any) -> Compliance | None:
    """Most platforms ask nothing."""
    return None
