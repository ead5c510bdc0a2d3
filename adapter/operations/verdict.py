"""The verdict: one pure function from facts to what is wrong, shared by pages, commands, `/status`, metrics and alerts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

from adapter.inbox.figures import MOST, Retrying
from adapter.inbox.lost_orders import LostOrders
from adapter.operations.facts import AccountFacts, Facts, Holdup, Refusal, StoreFacts, SumsDiffer
from adapter.operations.wording import counted
from adapter.settings import secret_variables

CODES = (
    "database", "no_store", "no_account", "no_sender", "paused", "outage", "unproven", "throttled", "not_configured", "store_error",
    "store_api", "locked", "waiting", "retrying", "dead", "signature_mismatch", "signature_missing", "signature_other_shop",
    "silent", "sums_differ",
)  # fmt: skip
"""Every code that a finding of `findings_of` can have."""
STUCK_AFTER = timedelta(minutes=10)
"""Orders that have been waiting for longer than this are stuck, unless a retry or a backfill is working through them."""
_UNREAD_BACKLOG_STUCK_AFTER = timedelta(hours=1)
_UNSIGNED_RECENTLY = timedelta(days=1)
_LISTED = {"dead": "dead", "retrying": "pending"}
"""Code of a finding about deliveries -> their state."""
_REQUESTS = {"single": "single requests", "batch": "batches"}


class Status(StrEnum):
    """The verdict on the adapter, which is that of its worst finding."""

    OK = "ok"
    ATTENTION = "attention"
    """Something needs a person, or passes by a known time."""
    STUCK = "stuck"
    """Orders don't reach Drip, or are lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong now."""

    code: str
    status: Status
    text: str
    """What is wrong, in one sentence."""
    do: str
    """What to do about it."""
    on_page: str = ""
    """The same for the reader of a page, which links to what a command would show; blank: no different."""
    since: datetime | None = None
    until: datetime | None = None
    """When it ends, or when the adapter tries again."""
    store: str = ""
    account: str = ""
    delivery: int | None = None
    """The delivery to look at, if it is about one."""

    @property
    def subject(self) -> str:
        """The store or account it is about; blank for the whole adapter."""
        return self.store or self.account

    @property
    def can_resume(self) -> bool:
        """Whether it makes sense to try the account at once."""
        return self.code in ("paused", "outage", "throttled", "unproven") and bool(self.account)

    @property
    def page(self) -> str:
        """The path of the dashboard's page where it is looked into."""
        if self.delivery is not None:
            return f"/deliveries/{self.delivery}"
        if self.code in _LISTED:
            return f"/deliveries?state={_LISTED[self.code]}&store={quote(self.store, safe='')}"
        return f"/stores/{quote(self.store, safe='')}" if self.store else "/"


def findings_of(facts: Facts) -> list[Finding]:
    """What is wrong, the worst first."""
    found = [*_setup(facts)]
    for name, account in facts.accounts.items():
        found += _account(name, account, facts.now)
    found += _not_asked([name for name, account in facts.accounts.items() if _is_unasked(account)])
    for name, store in facts.stores.items():
        found += _store(name, store, facts)
    return sorted(found, key=lambda finding: finding.status is not Status.STUCK)


def status_of(findings: Sequence[Finding]) -> Status:
    """The status of the worst of some findings."""
    found = {finding.status for finding in findings}
    return next((each for each in (Status.STUCK, Status.ATTENTION) if each in found), Status.OK)


def headline(status: Status, codes: Collection[str] = (), *, any_received: bool, sandbox: bool) -> str:
    """The verdict in a sentence. `codes` are those of the findings; `any_received`: whether any webhook has been received so far."""
    drip = "the sandbox" if sandbox else "Drip"
    reaching = f"Orders are reaching {drip}"
    if "database" in codes:
        return "Webhooks can't be stored."
    if status is Status.STUCK:
        return "Orders are stuck."
    if "unproven" in codes:
        return f"{drip[:1].upper()}{drip[1:]} has not accepted the account yet."
    if status is Status.ATTENTION:
        return f"{reaching if any_received else 'Waiting for the first webhook'}, but something needs attention."
    return f"{reaching}." if any_received else "Ready and waiting for the first webhook."


def when(moment: datetime) -> str:
    """A time in a text."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def cannot_store(why: str) -> Finding:
    """No webhook can be stored, for a reason that names the setting."""
    return Finding(
        code="database", status=Status.STUCK, text=f"{why[:1].upper()}{why[1:].rstrip('.')}.",
        do="Mend the database, or check DATABASE_URL. Until then no webhook is stored, and stores send them again.",
    )  # fmt: skip


def _setup(facts: Facts) -> Iterator[Finding]:
    if facts.not_storing:
        yield cannot_store(facts.not_storing)
    if not any(store.is_configured for store in facts.stores.values()):
        yield Finding(
            code="no_store",
            status=Status.ATTENTION,
            text="No store is configured.",
            do=f"Set {secret_variables()}, or STORES, and restart the adapter.",
        )
    if without := [name for name, store in facts.stores.items() if store.is_configured and not store.account]:
        yield Finding(
            code="no_account",
            status=Status.STUCK,
            text=f"No Drip account is configured for {', '.join(without)}: orders are stored but not sent.",
            do="Set DRIP_ACCOUNT_ID and DRIP_API_KEY, and restart the adapter. Stored orders are then sent.",
        )


def _account(name: str, account: AccountFacts, now: datetime) -> Iterator[Finding]:
    if not account.has_sender:
        yield Finding(
            code="no_sender", status=Status.STUCK, account=name, since=account.sender_seen_at,
            text=f"No sender is running for Drip account {name}.",
            do="Start drip-adapter serve or drip-adapter send. If one runs, restart it: it hangs.",
            on_page="Start the adapter, or its sender, where it runs. If it is running, restart it: it hangs.",
        )  # fmt: skip
    if account.paused_since is not None:
        yield Finding(
            code="paused", status=Status.STUCK, account=name, since=account.paused_since, until=account.next_try_at,
            text=f"Drip account {name} is paused: {account.reason.rstrip('.')}.",
            do=f"Fix the cause, and restart the adapter if you changed a setting. To try at once: drip-adapter resume {name}",
            on_page="Fix the cause, and restart the adapter if you changed a setting.",
        )  # fmt: skip
    if account.outage_since is not None:
        why = f": {account.reason.rstrip('.')}" if account.reason and account.paused_since is None else ""
        yield Finding(
            code="outage", status=Status.STUCK, account=name, since=account.outage_since, until=account.next_try_at,
            text=f"Drip is not responding for account {name}{why}.",
            do="Wait: the adapter keeps trying, and sending resumes automatically. If Drip is up, check DRIP_API_URL and the network.",
        )  # fmt: skip
    if not account.is_proved and account.unproven_why and account.paused_since is None and account.outage_since is None:
        yield Finding(
            code="unproven", status=Status.ATTENTION, account=name, since=account.unproven_since, until=account.proof_at,
            text=f"Drip has not accepted account {name} so far: {account.unproven_why.rstrip('.')}.",
            do="Fix the cause, and restart the adapter if you changed a setting. The adapter keeps asking.",
        )  # fmt: skip
    if account.throttled:
        kinds = " and ".join(f"{_REQUESTS[kind]} until {when(until)}" for kind, until in account.throttled.items())
        yield Finding(
            code="throttled", status=Status.ATTENTION, account=name, since=now, until=max(account.throttled.values()),
            text=f"Drip's rate limit stops account {name}: {kinds}.",
            do="Wait: sending resumes automatically. If this happens often, other software is using the account's quota. "
            f"To try now: drip-adapter resume {name}",
            on_page="Wait: sending resumes automatically. If this happens often, other software is using the account's quota.",
        )  # fmt: skip


def _is_unasked(account: AccountFacts) -> bool:
    troubled = account.paused_since is not None or account.outage_since is not None or not account.has_sender
    return not account.is_proved and not account.unproven_why and not troubled


def _not_asked(names: Sequence[str]) -> Iterator[Finding]:
    if names:
        subject = f"Drip account {names[0]} has" if len(names) == 1 else f"{len(names):,} Drip accounts have"
        yield Finding(
            code="unproven", status=Status.ATTENTION, account=names[0] if len(names) == 1 else "",
            text=f"{subject} not been tested yet.", do="Wait: the adapter is asking Drip, and sends orders meanwhile.",
        )  # fmt: skip


def _store(name: str, store: StoreFacts, facts: Facts) -> Iterator[Finding]:
    if not store.is_configured:
        if store.waiting.total:
            yield Finding(
                code="not_configured", status=Status.STUCK, store=name, since=store.waiting.since,
                text=f"Deliveries are waiting for store {name}, which is not in the settings.",
                do="Configure the store, or add its name to another store's aliases.",
            )  # fmt: skip
        return
    if store.lost is not None:
        yield _losing(name, store.lost)
    yield from (_held_up(name, holdup, facts.now) for holdup in store.holdups)
    if (since := _waiting_since(store, facts)) is not None:
        yield Finding(
            code="waiting", status=Status.STUCK, store=name, since=since,
            text=f"Orders of store {name} have been waiting since {when(since)}.",
            do="Look at the sender's log: it can't keep up, or it fails. If you changed a setting, restart it.",
        )  # fmt: skip
    if store.waiting.retrying is not None:
        yield _retrying(name, store.waiting.retrying)
    if store.dead:
        why = f": {store.dead_why}" if store.dead_why else ""
        number = "1 delivery" if store.dead == 1 else f"{store.dead:,}{'+' if store.dead >= MOST else ''} deliveries"
        yield Finding(
            code="dead", status=Status.ATTENTION, store=name, since=store.dead_at,
            text=f"{number} of store {name} could not be sent and won't be retried automatically{why}.",
            do=f"To see why: drip-adapter deliveries list --state dead --store {name}",
            on_page="Each of them shows why, and what mends it.",
        )  # fmt: skip
    yield from (_refused(name, store, refusal) for refusal in store.refusals if _matters(refusal, store.silence.last_at, facts.now))
    if store.silence.last_at is not None and store.silence.is_unusual(facts.now):
        yield Finding(
            code="silent", status=Status.ATTENTION, store=name, since=store.silence.last_at,
            text=f"Store {name} has sent no webhook since {when(store.silence.last_at)}, which is unusually long.",
            do="Check in the store that its webhooks are still active.",
        )  # fmt: skip
    if store.sums is not None:
        yield _sums_differ(name, store.sums)


def _sums_differ(name: str, sums: SumsDiffer) -> Finding:
    of = "The newest order" if sums.orders == 1 else f"{sums.differing} of the {sums.orders} newest orders"
    have = "has" if sums.differing == 1 else "have"
    return Finding(
        code="sums_differ", status=Status.ATTENTION, store=name, since=sums.since, delivery=sums.delivery, do=sums.advice,
        text=f"{of} of store {name} {have} amounts that don't add up to the total, the last one in delivery {sums.delivery}. {sums.what}",
    )  # fmt: skip


def _waiting_since(store: StoreFacts, facts: Facts) -> datetime | None:
    """Since when orders have been waiting for too long and for no reason that another finding gives; None if none are."""
    waiting, account = store.waiting, facts.accounts.get(store.account)
    is_free = account is not None and not account.is_blocked
    # Retries and past orders take as long as the quota makes them take; they are stuck only if nothing moves.
    moved_at = account.last_request_at if account is not None else None
    moves = account is not None and (bool(account.throttled) or (moved_at is not None and facts.now - moved_at <= STUCK_AFTER))
    limits = (
        (waiting.live_unread_since, STUCK_AFTER, True),
        (waiting.unread_since, _UNREAD_BACKLOG_STUCK_AFTER, True),
        (waiting.live_due_since, STUCK_AFTER, is_free),
        (waiting.due_since, STUCK_AFTER, is_free and not moves),
        (waiting.retrying.since if waiting.retrying else None, STUCK_AFTER, is_free and account is not None and account.is_failing),
    )
    late = [since for since, limit, counts in limits if counts and since is not None and facts.now - since > limit]
    return min(late, default=None)


def _retrying(name: str, retrying: Retrying) -> Finding:
    return Finding(
        code="retrying", status=Status.ATTENTION, store=name, since=retrying.since, until=retrying.next_at,
        text=f"{counted(retrying.number)} of store {name} failed more than once. The next attempt is at {when(retrying.next_at)}.",
        do=f"Wait: the adapter tries again for about four days. To see why: drip-adapter deliveries list --state pending --store {name}",
        on_page="Wait: the adapter tries again for about four days.",
    )  # fmt: skip


def _held_up(name: str, holdup: Holdup, now: datetime) -> Finding:
    why = holdup.why.rstrip(".")
    if holdup.reason == "locked":
        return Finding(
            code="locked", status=Status.STUCK, store=name, since=holdup.since, until=holdup.until,
            text=f"Payloads of store {name} can't be read: they are encrypted with a key that isn't in PAYLOAD_KEYS.",
            do="Add the key that they were encrypted with to the end of PAYLOAD_KEYS, and restart the adapter.",
        )  # fmt: skip
    return Finding(
        code="store_api", status=Status.STUCK if now - holdup.since > STUCK_AFTER else Status.ATTENTION, store=name,
        since=holdup.since, until=holdup.until,
        text=f"Webhooks of store {name} lack fields of their orders, and the store's API doesn't return those: {why}.",
        do="Check the store's API credentials and address in the settings, and that the store responds. The adapter asks again for a day.",
    )  # fmt: skip


def _losing(name: str, lost: LostOrders) -> Finding:
    number = counted(lost.number, "webhook", "webhooks")
    return Finding(
        code="store_error", status=Status.STUCK, store=name, since=lost.since,
        text=f"Store {name} is losing orders: {number} without an order since {when(lost.since)}. {lost.why.rstrip('.')}.",
        do=f"Run drip-adapter connect {name} to replace its webhooks, then drip-adapter reconcile {name} to fetch the lost orders.",
        on_page="Replace its webhooks in the store, as its page describes. Then fetch the lost orders: docs/operating.md.",
    )  # fmt: skip


def _matters(refusal: Refusal, accepted_at: datetime | None, now: datetime) -> bool:
    """Whether refused requests show that something is wrong now: no other has been accepted since, or they keep coming between those."""
    if not _none_since(refusal, accepted_at):
        return refusal.over_at is not None and now < refusal.over_at
    return refusal.reason != "missing" or now - refusal.last_at <= _UNSIGNED_RECENTLY  # anyone can send one unsigned


def _none_since(refusal: Refusal, accepted_at: datetime | None) -> bool:
    return accepted_at is None or refusal.last_at > accepted_at


def _refused(name: str, store: StoreFacts, refusal: Refusal) -> Finding:
    number = "1 request was" if refusal.number == 1 else f"{refusal.number:,} requests were"
    if refusal.reason == "other_shop":
        code, why, do = (
            "signature_other_shop",
            "they come from another shop",
            f"In that shop, change the webhooks' address. If the shop is the right one, correct the address that the settings give {name}.",
        )
    elif refusal.reason == "missing":
        code, why, do = (
            "signature_missing",
            "the signature is missing",
            "Check that the store's webhook has a secret. If it has, they came from elsewhere.",
        )
    else:
        setting = store.secret_setting or "the secret"
        code, why, do = "signature_mismatch", "the signature doesn't match", f"Compare {setting} with the secret the store signs with."
    since, until = "none accepted since", None
    if refusal.over_at is not None or not _none_since(refusal, store.silence.last_at):
        since, until = "others are accepted", refusal.over_at
        do = f"Find out which of the store's webhooks is refused: the log names each with action=refused. {do}"
    text = f"{number} refused for store {name} because {why}, the last one at {when(refusal.last_at)}, and {since}."
    return Finding(code=code, status=Status.ATTENTION, store=name, since=refusal.last_at, until=until, text=text, do=do)
