"""Whether orders are reaching Drip, and why not: shown by `/status`, the `status` and `check` commands, and the dashboard."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.inbox import accounts, counters, figures, views
from adapter.inbox.lost_orders import LostOrders, lost_orders
from adapter.operations.silence import store_silence
from adapter.operations.waiting import Waiting, oldest, read_waiting
from adapter.settings import Settings
from mappings import timestamp

STUCK_AFTER = timedelta(minutes=10)
_CLOCK_SKEW = timedelta(minutes=1)


def status_report(
    connection: Connection, settings: Settings, now: datetime, waiting: Mapping[str, Waiting] | None = None
) -> dict[str, Any]:
    """`{"ok", "why": [...], "stores": {...}, "accounts": {...}, "oldest_due"}`; times in ISO 8601, deliveries counted by state.

    A store is `quiet` if it has been silent unusually long: longer than `patience_s`, which is null while too little is known. Its `lost`
    counts the webhooks since its last order that contained an error instead of an order; null if there are none.
    `waiting` is what `read_waiting` found for `all_stores`, for callers that need it as well.
    """
    names = all_stores(connection, settings)
    waiting = read_waiting(connection, names, now) if waiting is None else waiting
    counted = _by_state(connection, waiting)
    refused: dict[str, dict[str, Any]] = {}
    for row in figures.all_refusals(connection):
        refused.setdefault(row.store, {})[row.reason] = {"count": row.times, "last_at": timestamp(row.last_at)}
    accounts = {name: _account(connection, name, now) for name in settings.accounts}
    due = oldest(each.since for each in waiting.values())
    lost = lost_orders(connection, settings.stores)
    why = [losing(store, orders) for store, orders in sorted(lost.items())] + _why(settings, counted, accounts, due, now)
    return {
        "ok": not why,
        "why": why,
        "sandbox": settings.sandbox,
        "oldest_due": timestamp(due) if due else None,
        "stores": {
            name: {
                "configured": name in settings.stores,
                "deliveries": counted[name],
                "refused": refused.get(name, {}),
                "lost": _lost(lost.get(name)),
                **_silence(connection, name, now),
            }
            for name in names
        },
        "accounts": accounts,
    }


def losing(store: str, orders: LostOrders) -> str:
    """What to report about a store that is losing orders, and what to do."""
    number = "1 webhook" if orders.number == 1 else f"{orders.number} webhooks"
    return (
        f"Store {store} is losing orders: {number} without an order since {timestamp(orders.since)}. {orders.why}. Run drip-adapter "
        f"connect {store} to replace its webhooks, then drip-adapter reconcile {store} to fetch the lost orders"
    )


def _lost(orders: LostOrders | None) -> dict[str, Any] | None:
    if orders is None:
        return None
    return {"count": orders.number, "since": timestamp(orders.since), "last_at": timestamp(orders.last_at), "why": orders.why}


def all_stores(connection: Connection, settings: Settings) -> list[str]:
    """The stores in the settings and those that still have deliveries."""
    return sorted({*settings.stores, *views.store_names(connection)})


def _by_state(connection: Connection, waiting: Mapping[str, Waiting]) -> dict[str, dict[str, int]]:
    """Store -> deliveries by state: `pending` and `dead` now; `delivered` and `skipped` so far, including those purged since."""
    dead = figures.dead(connection)
    counted = {
        store: {"pending": each.unread + each.due + each.later, "dead": dead.get(store, (0, None))[0]} for store, each in waiting.items()
    }
    for name, labels, number in counters.totals(connection):
        if name in ("delivered", "skipped") and labels["store"] in counted:
            states = counted[labels["store"]]
            states[name] = states.get(name, 0) + number
    return {store: {state: number for state, number in states.items() if number} for store, states in counted.items()}


def _silence(connection: Connection, store: str, now: datetime) -> dict[str, Any]:
    silence = store_silence(connection, store)
    limit = round(silence.limit.total_seconds()) if silence.limit else None
    return {"last_at": timestamp(silence.last_at) if silence.last_at else None, "patience_s": limit, "quiet": silence.is_unusual(now)}


def _account(connection: Connection, account: str, now: datetime) -> dict[str, Any]:
    lease = accounts.lease(connection, account)
    if lease is None:
        return {"sender": False, "paused": None, "outage": None, "outage_why": None}
    paused = {"since": timestamp(lease.paused_since), "why": lease.pause_reason} if lease.paused_since else None
    outage = timestamp(lease.outage_since) if lease.outage_since else None
    outage_why = lease.pause_reason if outage and not paused else None
    # A killed sender leaves its lease behind. Lease times are the database's, whose clock may differ from ours.
    has_sender = lease.holder is not None and lease.expires_at > now - _CLOCK_SKEW
    return {"sender": has_sender, "paused": paused, "outage": outage, "outage_why": outage_why}


def _why(
    settings: Settings, counted: dict[str, dict[str, int]], accounts: dict[str, Any], due: datetime | None, now: datetime
) -> list[str]:
    why = [f"Drip account {name} is paused: {state['paused']['why']}" for name, state in accounts.items() if state["paused"]]
    why += [
        f"Drip has not responded for account {name} since {state['outage']}" + (f": {state['outage_why']}" if state["outage_why"] else "")
        for name, state in accounts.items()
        if state["outage"]
    ]
    if without := sorted(store.name for store in settings.stores.values() if store.account is None):
        stores = ", ".join(without)
        why.append(f"No Drip account for {stores}: set DRIP_ACCOUNT_ID and DRIP_API_KEY. Until then orders are stored but not sent")
    if orphans := sorted(name for name, states in counted.items() if settings.store(name) is None and states.get("pending")):
        stores = ", ".join(orphans)
        why.append(f"Deliveries are waiting for {stores}, not in the settings: configure the store, or add its name to another's aliases")
    if due is not None and now - due > STUCK_AFTER:
        why.append(f"The oldest delivery has been due since {timestamp(due)}. Is a sender running? Start drip-adapter serve or send")
    return why
