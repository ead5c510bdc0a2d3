"""What reading a payload yields: which order it shows, how that order compares with other snapshots, and reasons not to send it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from mappings.core.options import Options

Loaded = Mapping[str, Any]
"""An order's payload after its schema: every declared field is there, with its default where the store sent nothing."""


class Reason(StrEnum):
    """Why a delivery is kept but not sent. Of the mapping's reasons, the first in this order wins."""

    STORE_ERROR = "store_error"
    NOT_AN_ORDER = "not_an_order"
    TEST_ORDER = "test_order"
    DRAFT = "draft"
    CHILD_ORDER = "child_order"
    TOO_OLD = "too_old"
    UNPAID = "unpaid"
    NEVER_PLACED = "never_placed"
    NO_EMAIL = "no_email"
    # The adapter gives these, from what it remembers of the order:
    STALE = "stale"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    SPLIT = "split"
    CATALOG = "catalog"
    FORGOTTEN = "forgotten"


LOSES_ORDERS = "orders are being lost: "
"""How the detail of a `store_error` begins if the store keeps sending it in place of orders until somebody acts."""
ONLY_ID = "the webhook contains only the order's id, and the settings have no access to the store's API, which has the order"
"""The detail of a `no_email` of a platform whose webhooks contain no orders; nothing of the order is known."""
HOLDS = (Reason.UNPAID, Reason.NEVER_PLACED)
"""Reasons that apply only until a snapshot of the order is placed; then the delivery is weighed again."""
_NEVER_AN_ORDER = (Reason.STORE_ERROR, Reason.NOT_AN_ORDER, Reason.TEST_ORDER, Reason.DRAFT, Reason.CHILD_ORDER)
_RANKS = {reason: rank for rank, reason in enumerate(Reason)}


@dataclass(frozen=True, slots=True)
class Skip:
    """A reason not to send, and a sentence for people. The sentence never holds personal data."""

    reason: Reason
    detail: str

    @property
    def rank(self) -> int:
        """The place of the reason: the lowest of several wins."""
        return _RANKS[self.reason]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What arrived with a payload, and the options of its store."""

    topic: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names. No platform signs its headers: take nothing that matters from them alone."""
    received_at: datetime
    options: Options = Options()


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What is read of a snapshot before it is mapped.

    Two snapshots of one order compare by `updated_at`, then by `progress`, then by arrival.
    """

    order_id: str
    order_number: str = ""
    """The number that shopper and merchant use, as printed; blank if there is none."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    progress: tuple[Decimal, ...] = ()
    """The provider's rank of how far the order has come: refunded sum, shipped count, status."""
    email: str = ""
    email_withheld: bool = False
    """The payload has no email field at all, as when an app has no access to customer data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One payload, read: the order it shows and the reasons not to send it."""

    identity: Identity | None
    skips: tuple[Skip, ...]
    loaded: Loaded
    payload: Any
    problems: Mapping[str, list[str]]
    number: str = ""
    """The order's number, as printed, even if its id can't be read; blank if there is none."""

    @property
    def placed(self) -> bool:
        """Whether this snapshot shows an order that was really placed."""
        return self.identity is not None and not any(skip.reason in (*HOLDS, *_NEVER_AN_ORDER) for skip in self.skips)

    def skip(self, *, placed: bool) -> Skip | None:
        """The first reason not to send; `placed` means that some snapshot of this order was placed."""
        return next((skip for skip in self.skips if not (placed and skip.reason in HOLDS)), None)
