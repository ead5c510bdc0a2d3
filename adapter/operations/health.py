"""How the adapter is: the facts for the verdict from the database, and the report that `/status`, `status` and the dashboard show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox import comparisons, counters, figures, holdups, views
from adapter.inbox.accounts import READER
from adapter.inbox.database import database_now
from adapter.inbox.figures import Dead
from adapter.inbox.lost_orders import LostOrders, lost_orders
from adapter.operations.facts import AccountFacts, Facts, Holdup, Refusal, StoreFacts, SumsDiffer
from adapter.operations.silence import Silence, read_silences
from adapter.operations.verdict import Finding, Status, cannot_store, findings_of, status_of
from adapter.operations.waiting import oldest, read_waiting
from adapter.operations.wording import instant, instant_or_none
from adapter.settings import Settings

_LEASE_GRACE = timedelta(seconds=5)
_KINDS = ("single", "batch")
_ACCEPTED = 2


@dataclass(frozen=True, kw_only=True)
class Health:
    """The facts, and what is wrong by them."""

    facts: Facts
    findings: Sequence[Finding]

    @property
    def status(self) -> Status:
        """That of the worst finding."""
        return status_of(self.findings)


def read_health(
    connection: Connection, settings: Settings, now: datetime, silences: Mapping[str, Silence] | None = None, *, not_storing: str = ""
) -> Health:
    """Read the facts from the database and judge them. `silences` spares reading those of the stores, for callers that remember them.

    `not_storing` is why webhooks can't be stored, if they can't (`adapter.inbox.readiness`).
    """
    facts = replace(read_facts(connection, settings, now, silences), not_storing=not_storing)
    return Health(facts=facts, findings=findings_of(facts))


def read_facts(connection: Connection, settings: Settings, now: datetime, silences: Mapping[str, Silence] | None = None) -> Facts:
    """The facts that the verdict depends on."""
    names = sorted({*settings.stores, *views.store_names(connection)})
    waiting, dead, lost = read_waiting(connection, names, now), figures.dead(connection), lost_orders(connection, settings.stores)
    differing = {
        store: SumsDiffer(
            since=row.since, orders=row.orders, differing=row.differing, delivery=row.delivery_id, what=row.difference, advice=row.advice
        )
        for store, row in comparisons.known(connection).items()
        if row.since is not None
    }
    held = holdups.current(connection, now)
    known = silences or {}
    silent = {**read_silences(connection, [name for name in names if name not in known]), **known}
    stores = {
        name: StoreFacts(
            waiting=waiting[name],
            silence=silent[name],
            account=_account_of(name, settings),
            is_configured=settings.store(name) is not None,
            secret_setting=store.secret_setting if (store := settings.store(name)) else "",
            dead=dead[name].number if name in dead else 0,
            dead_at=dead[name].last_at if name in dead else None,
            dead_why=_why_dead(dead[name]) if name in dead else "",
            refusals=[_refusal(row) for row in refusals],
            holdups=[Holdup(reason=row.reason, why=row.why, since=row.since, until=row.until) for row in held.get(name, ())],
            lost=lost.get(name),
            sums=differing.get(name),
        )
        for name, refusals in _refusals(connection, names).items()
    }
    return Facts(now=now, stores=stores, accounts=_accounts(connection, settings, now))


def status_report(connection: Connection, settings: Settings, now: datetime, *, not_storing: str = "") -> dict[str, Any]:
    """The report of `document` on the state of now."""
    return document(connection, settings, read_health(connection, settings, now, not_storing=not_storing))


def document(connection: Connection, settings: Settings, health: Health) -> dict[str, Any]:
    """`{"verdict", "findings": [...], "ok", "why": [...], "stores": {...}, "accounts": {...}, "oldest_due"}`; times in ISO 8601.

    `ok` and `why` are the verdict and the findings once more, for scripts that know no others. A store is `quiet` if it has been silent for
    longer than `patience_s`, which is null while too little is known. Its `lost` counts the webhooks since its last order that contained an
    error instead of an order; null if there are none.
    """
    facts = health.facts
    counted = _by_state(connection, facts)
    due = oldest(store.waiting.since for store in facts.stores.values())
    return {
        "verdict": str(health.status),
        "findings": [_finding(finding, settings.public_url) for finding in health.findings],
        "ok": health.status is Status.OK,
        "why": [f"{finding.text} {finding.do}" for finding in health.findings],
        "sandbox": settings.sandbox,
        "oldest_due": instant_or_none(due),
        "stores": {
            name: {
                "configured": name in settings.stores,
                "deliveries": counted[name],
                "refused": {each.reason: {"count": each.number, "last_at": instant(each.last_at)} for each in store.refusals},
                "lost": _lost(store.lost),
                **_silence(store.silence, facts.now),
            }
            for name, store in facts.stores.items()
        },
        "accounts": {
            name: {
                "sender": account.has_sender,
                "unproven": not account.is_proved,
                "paused": {"since": instant(account.paused_since), "why": account.reason} if account.paused_since else None,
                "outage": instant_or_none(account.outage_since),
                "outage_why": account.reason if account.outage_since and not account.paused_since and account.reason else None,
            }
            for name, account in facts.accounts.items()
        },
    }


def without_database(why: str) -> dict[str, Any]:
    """The report while the database can't be read: no webhook can be stored."""
    finding = cannot_store(why)
    return {"verdict": str(Status.STUCK), "findings": [_finding(finding)], "ok": False, "why": [f"{finding.text} {finding.do}"]}


def _account_of(store: str, settings: Settings) -> str:
    found = settings.store(store)
    return found.account.id if found is not None and found.account is not None else ""


def _refusals(connection: Connection, names: Sequence[str]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {name: [] for name in names}
    for row in figures.all_refusals(connection):
        found.setdefault(row.store, []).append(row)
    return {name: found[name] for name in names}


def _refusal(row: Row[Any]) -> Refusal:
    return Refusal(reason=row.reason, number=row.times, last_at=row.last_at, before_at=row.before_at, returns=row.returns)


def _accounts(connection: Connection, settings: Settings, now: datetime) -> dict[str, AccountFacts]:
    leases = {row.account: row for row in figures.all_leases(connection)}
    newest = figures.newest_requests(connection, settings.accounts, _KINDS)
    # Leases go by the database's clock, which may differ from ours.
    alive_since = database_now(connection) - _LEASE_GRACE
    # A sender that serves many accounts keeps the leases of some, and that of the reader.
    has_reader = _is_held(leases.get(READER), alive_since)
    return {
        name: _account(
            leases.get(name),
            {kind: newest[name, kind] for kind in _KINDS if (name, kind) in newest},
            now,
            has_sender=has_reader or _is_held(leases.get(name), alive_since),
        )
        for name in settings.accounts
    }


def _is_held(lease: Row[Any] | None, alive_since: datetime) -> bool:
    # A killed sender leaves its lease behind.
    return lease is not None and lease.holder is not None and lease.expires_at is not None and lease.expires_at > alive_since


def _account(lease: Row[Any] | None, newest: Mapping[str, Row[Any]], now: datetime, *, has_sender: bool) -> AccountFacts:
    last_request_at = max((row.begun_at for row in newest.values()), default=None)
    if lease is None:
        return AccountFacts(has_sender=has_sender, last_request_at=last_request_at, is_proved=False)
    # Also set where Drip has no batch endpoint: only a 429 is a rate limit.
    closed = {kind: getattr(lease, f"{kind}_closed_until") for kind, row in newest.items() if row.status == 429}
    return AccountFacts(
        has_sender=has_sender,
        sender_seen_at=None if has_sender else lease.expires_at,
        paused_since=lease.paused_since,
        outage_since=lease.outage_since,
        reason=lease.pause_reason or "",
        next_try_at=lease.probe_at,
        throttled={kind: until for kind, until in closed.items() if until is not None and until > now},
        last_request_at=last_request_at,
        is_failing=_has_failed(newest.values()),
        is_proved=lease.proved_with is not None,
        unproven_since=lease.proof_since,
        unproven_why=lease.proof_failed or "",
        proof_at=lease.proof_at,
    )


def _why_dead(dead: Dead) -> str:
    others = dead.number - dead.refused - dead.given_up
    known = (
        (dead.refused, "Drip refused {}"),
        (dead.given_up, "the last attempt of {} failed"),
        (others, "{} could not be prepared for Drip"),
    )
    return ", ".join(text.format(f"{number:,}") for number, text in known if number)


def _has_failed(newest: Iterable[Row[Any]]) -> bool:
    """Whether the newest request that has ended was not accepted."""
    ended = [row for row in newest if row.ended_at is not None]
    last = max(ended, key=lambda row: row.begun_at, default=None)
    return last is not None and (last.status is None or last.status // 100 != _ACCEPTED)


def _by_state(connection: Connection, facts: Facts) -> dict[str, dict[str, int]]:
    """Store -> deliveries by state: `pending` and `dead` now; `delivered` and `skipped` so far, including those purged since."""
    counted = {name: {"pending": store.waiting.total, "dead": store.dead} for name, store in facts.stores.items()}
    for name, labels, number in counters.totals(connection):
        if name in ("delivered", "skipped") and labels["store"] in counted:
            states = counted[labels["store"]]
            states[name] = states.get(name, 0) + number
    return {store: {state: number for state, number in states.items() if number} for store, states in counted.items()}


def _finding(finding: Finding, public_url: str = "") -> dict[str, Any]:
    about = {name: value for name, value in (("store", finding.store), ("account", finding.account)) if value}
    return {
        "code": finding.code,
        "verdict": str(finding.status),
        "text": finding.text,
        "since": instant_or_none(finding.since),
        "until": instant_or_none(finding.until),
        "do": finding.do,
        "link": f"{public_url}{finding.page}",
        **about,
    }


def _silence(silence: Silence, now: datetime) -> dict[str, Any]:
    limit = round(silence.limit.total_seconds()) if silence.limit else None
    return {"last_at": instant_or_none(silence.last_at), "patience_s": limit, "quiet": silence.is_unusual(now)}


def _lost(orders: LostOrders | None) -> dict[str, Any] | None:
    if orders is None:
        return None
    return {"count": orders.number, "since": instant(orders.since), "last_at": instant(orders.last_at), "why": orders.why}
