"""What the verdict depends on: the facts about accounts, stores and the database, as they are now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapter.inbox.lost_orders import LostOrders
from adapter.operations.silence import Silence
from adapter.operations.waiting import Waiting

_COME_BACK = 2
"""After so many returns, refusals beside accepted webhooks are no leftover of a secret that was changed."""
_LEAST_QUIET, _LONGEST_QUIET = timedelta(minutes=30), timedelta(days=1)
"""How long none must have been refused until such refusals are over; within these limits, twice as long as they paused before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountFacts:
    """What is known of a Drip account."""

    has_sender: bool
    sender_seen_at: datetime | None = None
    paused_since: datetime | None = None
    outage_since: datetime | None = None
    reason: str = ""
    """Why it is paused, or what Drip responds during an outage."""
    next_try_at: datetime | None = None
    throttled: Mapping[str, datetime] = field(default_factory=dict)
    """Kind of request -> until when Drip's rate limit closes it."""
    last_request_at: datetime | None = None
    is_failing: bool = False
    """Whether Drip did not accept the newest request."""
    is_proved: bool = True
    """Whether Drip has accepted the account's credentials."""
    unproven_since: datetime | None = None
    unproven_why: str = ""
    """Why Drip has not accepted them; blank if it has not been asked yet."""
    proof_at: datetime | None = None
    """When Drip is asked again."""

    @property
    def is_blocked(self) -> bool:
        """Whether a finding about the account explains why its orders wait."""
        return not self.has_sender or self.paused_since is not None or self.outage_since is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Requests to a store whose signature is `missing` or a `mismatch`, or that come from `other_shop`."""

    reason: str
    number: int
    last_at: datetime
    before_at: datetime | None = None
    """The last one before the newest webhook that was accepted between two of them."""
    returns: int = 0
    """How often they came back after an accepted webhook, within a day."""

    @property
    def over_at(self) -> datetime | None:
        """When they are over although webhooks are accepted beside them; None if an accepted one ends them at once."""
        if self.returns < _COME_BACK or self.before_at is None:
            return None
        return self.last_at + min(max(2 * (self.last_at - self.before_at), _LEAST_QUIET), _LONGEST_QUIET)


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdup:
    """What keeps orders of a store from being read: its API fails (`store_api`), or no key opens their payloads (`locked`)."""

    reason: str
    why: str
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SumsDiffer:
    """Newest orders of a store whose own amounts differ a lot from their totals."""

    since: datetime
    orders: int
    """How many were compared."""
    differing: int
    delivery: int
    """The newest that differs."""
    what: str
    """By how much it does, in a sentence."""
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFacts:
    """What is known of a store."""

    waiting: Waiting
    silence: Silence
    account: str = ""
    """The Drip account that it feeds; blank if none."""
    is_configured: bool = True
    secret_setting: str = ""
    dead: int = 0
    dead_at: datetime | None = None
    """When the newest of them died."""
    dead_why: str = ""
    """How many of them died of what."""
    refusals: Sequence[Refusal] = ()
    holdups: Sequence[Holdup] = ()
    lost: LostOrders | None = None
    sums: SumsDiffer | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything that the verdict depends on."""

    now: datetime
    stores: Mapping[str, StoreFacts]
    accounts: Mapping[str, AccountFacts]
    not_storing: str = ""
    """Why webhooks can't be stored; blank if they can."""
