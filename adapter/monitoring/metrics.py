"""Metrics for Prometheus, counted in the database so that every process reports the same values.

Names begin with `drip_adapter_` and end in their unit. Labels are names and codes; nothing here identifies a shopper.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine

from adapter import __version__
from adapter.inbox import counters, figures
from adapter.inbox.accounts import LIFETIME, READER
from adapter.inbox.counters import BEYOND, BUCKETS_S
from adapter.inbox.database import database_now, snapshot
from adapter.inbox.sending import due_accounts
from adapter.operations.facts import StoreFacts
from adapter.operations.health import read_health
from adapter.operations.silence import Silences
from adapter.operations.verdict import CODES, Status
from adapter.settings import Settings
from mappings import Verdict

PREFIX = "drip_adapter_"
CACHED_S = 3.0
# Counter in the database -> (metric, help text, labels).
_COUNTERS = {
    "kept": ("deliveries_kept", "Deliveries stored: webhooks, orders split from a body with several, past orders", ("store",)),
    "duplicates": ("webhooks_duplicate", "Webhooks received before", ("store",)),
    "refused": (
        "webhooks_refused",
        "Webhooks refused: no signature, a wrong one, or another shop's",
        ("store", "reason"),
    ),
    "delivered": ("deliveries_delivered", "Deliveries accepted by Drip", ("store",)),
    "skipped": ("deliveries_skipped", "Deliveries not sent, by reason", ("store", "reason")),
    "dead": ("deliveries_dead", "Deliveries that became dead letters; one that does so twice counts twice", ("store",)),
    "attempts": ("attempts", "Orders posted to Drip, by outcome", ("account", "kind", "outcome")),
    "requests": ("requests", "Requests to Drip, by HTTP status", ("account", "kind", "status")),
    "look_ups": ("product_look_ups", "Products looked up in a store, by source and outcome", ("store", "source", "outcome")),
    "sums_differ": ("sums_differ", "Orders whose amounts don't add up to their total", ("store",)),
}
_TIME_TO_DRIP = ("delivery_seconds", "Time from receiving a webhook to Drip's 2xx response; live deliveries only")
_GAUGES = {
    "verdict": ("1 for the current verdict: ok, attention or stuck; 0 for the others", ("verdict",)),
    "findings": ("Things that are wrong now, by code", ("code",)),
    "deliveries_waiting": ("Deliveries not settled yet, by what they are waiting for; counted up to 10000", ("store", "state")),
    "oldest_waiting_seconds": ("How long the oldest delivery has been waiting, unread or due; 0 if none is", ("store", "state")),
    "dead_letters": ("Deliveries that won't be retried automatically; counted up to 10000 in total", ("store",)),
    "account_paused": ("1 while the account is paused because Drip refuses it", ("account",)),
    "account_outage": ("1 while Drip is not responding", ("account",)),
    "quota_limit_requests": ("Requests allowed in any sliding hour", ("account", "kind")),
    "quota_left_requests": ("Requests that can be made now; 0 after a 429", ("account", "kind")),
    "sender_lease_age_seconds": ("Time since the account's sender renewed its lease; above 20, no sender is running", ("account",)),
    "reader_lease_age_seconds": ("Time since the reader renewed its lease; above 20, no reader is running", ()),
    "store_silence_seconds": ("Time since the store's last webhook", ("store",)),
    "store_patience_seconds": ("How long a silence is normal for the store; absent while too little is known", ("store",)),
    "store_quiet": ("1 if the store has been silent for longer than that", ("store",)),
}


class Metrics(Collector):
    """Reads all metrics from the database at once, at most every few seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: list[Metric] = []
        self._known_until = float("-inf")
        self._silences = Silences()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: otherwise the registry would collect at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics read last."""
        return self._known

    def text(self, engine: Engine, accept: str, not_storing: str = "") -> tuple[bytes, str]:
        """All metrics in a format the scraper accepts, and its content type; raises `DatabaseAway`.

        `not_storing` is why webhooks can't be stored, if they can't.
        """
        with self._lock:
            if time.monotonic() > self._known_until:
                with snapshot(engine) as connection:
                    self._known = list(self._read(connection, not_storing))
                self._known_until = time.monotonic() + CACHED_S
            encoder, content_type = choose_encoder(accept)
            return encoder(self._registry), content_type

    def _read(self, connection: Connection, not_storing: str) -> Iterator[Metric]:
        now = database_now(connection)
        yield InfoMetricFamily(PREFIX.rstrip("_"), "This adapter", {"version": __version__, "database": connection.dialect.name})
        yield from _counted(connection, self._settings)
        gauges = _Gauges()
        silences = self._silences.read(connection, self._settings.stores)
        health = read_health(connection, self._settings, now, silences, not_storing=not_storing)
        for status in Status:
            gauges.set("verdict", status is health.status, status)
        found = Counter(finding.code for finding in health.findings)
        for code in CODES:
            gauges.set("findings", found[code], code)
        for name, store in health.facts.stores.items():
            _set_store(gauges, name, store, now, is_configured=name in self._settings.stores)
        self._accounts(connection, gauges, now)
        yield from gauges.families.values()

    def _accounts(self, connection: Connection, gauges: "_Gauges", now: datetime) -> None:
        leases = {row.account: row for row in figures.all_leases(connection)}
        if (reader := leases.get(READER)) and reader.expires_at:
            gauges.set("reader_lease_age_seconds", _seconds(now, reader.expires_at - LIFETIME))
        quotas = figures.quotas(connection, self._settings, leases, now)
        # A sender that serves many accounts holds the leases of those that have something due.
        busy = {due.account for due in due_accounts(connection, now)}
        for account in self._settings.accounts:
            lease = leases.get(account)
            gauges.set("account_paused", lease is not None and lease.paused_since is not None, account)
            gauges.set("account_outage", lease is not None and lease.outage_since is not None, account)
            renewed_at = [each.expires_at - LIFETIME for each in (lease, reader) if each is not None and each.expires_at]
            if account in busy:
                renewed_at = renewed_at[:1] if lease is not None and lease.expires_at else []
            if renewed_at:
                gauges.set("sender_lease_age_seconds", _seconds(now, max(renewed_at)), account)
            for quota in quotas[account]:
                gauges.set("quota_limit_requests", quota.limit, account, quota.kind)
                gauges.set("quota_left_requests", quota.left, account, quota.kind)


@dataclass(slots=True)
class _Gauges:
    families: dict[str, Metric] = field(
        default_factory=lambda: {name: GaugeMetricFamily(PREFIX + name, help_, labels=labels) for name, (help_, labels) in _GAUGES.items()}
    )

    def set(self, name: str, value: float, *labels: str) -> None:
        family = self.families[name]
        assert isinstance(family, GaugeMetricFamily)  # noqa: S101 - for the type checker
        family.add_metric(labels, float(value))


def _set_store(gauges: _Gauges, name: str, store: StoreFacts, now: datetime, *, is_configured: bool) -> None:
    for state, value in (("unread", store.waiting.unread), ("due", store.waiting.due), ("later", store.waiting.later)):
        gauges.set("deliveries_waiting", value, name, state)
    gauges.set("oldest_waiting_seconds", _seconds(now, store.waiting.unread_since or now), name, "unread")
    gauges.set("oldest_waiting_seconds", _seconds(now, store.waiting.due_since or now), name, "due")
    gauges.set("dead_letters", store.dead, name)
    if is_configured and store.silence.last_at is not None:
        gauges.set("store_silence_seconds", _seconds(now, store.silence.last_at), name)
        gauges.set("store_quiet", store.silence.is_unusual(now), name)
        if store.silence.limit is not None:
            gauges.set("store_patience_seconds", store.silence.limit.total_seconds(), name)


_REFUSED = (Verdict.MISSING, Verdict.MISMATCH, Verdict.OTHER_SHOP)


def _counted(connection: Connection, settings: Settings) -> Iterator[Metric]:
    """The counters. Those of a configured store start at 0, so that the first increase shows as one."""
    values: dict[str, dict[tuple[str, ...], int]] = {
        name: {(store,): 0 for store in settings.stores} if labels == ("store",) else {} for name, (_, _, labels) in _COUNTERS.items()
    }
    values["refused"] = {(store, verdict): 0 for store in settings.stores for verdict in _REFUSED}
    times: dict[str, dict[str, int]] = {}
    for name, labels, value in counters.totals(connection):
        if name in _COUNTERS:
            values[name][tuple(labels[label] for label in _COUNTERS[name][2])] = value
        else:
            times.setdefault(labels["store"], {})[labels.get("le", "sum")] = value
    for store, number in counters.kept_by_store(connection).items():
        if store in settings.stores:
            values["kept"][(store,)] = number
    for row in figures.all_refusals(connection):
        values["refused"][row.store, row.reason] = row.times
    for name, (metric, help_, of) in _COUNTERS.items():
        family = CounterMetricFamily(PREFIX + metric, help_, labels=of)
        for labelled, value in values[name].items():
            family.add_metric(labelled, value)
        yield family
    yield _time_to_drip({store: times.get(store, {}) for store in {*settings.stores, *times}})


def _time_to_drip(times: Mapping[str, Mapping[str, int]]) -> Metric:
    family = HistogramMetricFamily(PREFIX + _TIME_TO_DRIP[0], _TIME_TO_DRIP[1], labels=["store"])
    bounds = [*map(str, BUCKETS_S), BEYOND]
    for store, counted in times.items():
        rising = accumulate(counted.get(bound, 0) for bound in bounds)
        buckets = [(str(float(bound)) if bound != BEYOND else bound, float(number)) for bound, number in zip(bounds, rising, strict=True)]
        family.add_metric([store], buckets=buckets, sum_value=counted.get("sum", 0) / 1000)
    return family


def _seconds(now: datetime, since: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
