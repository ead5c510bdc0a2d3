"""Whether orders move: what `/status`, the command `status` and the dashboard say alike."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.inbox import accounts, arrivals, figures, views
from adapter.inbox.lost_orders import LostOrders, lost_orders
from adapter.operations.silence import HOURS, Rhythm, rhythm_of
from adapter.settings import Settings
from mappings import timestamp

STUCK_AFTER = timedelta(minutes=10)
_CLOCKS_DIFFER = timedelta(minutes=1)


def overview(connection: Connection, settings: Settings, now: datetime) -> dict[str, Any]:
    """`{"ok", "why": [...], "stores": {...}, "accounts": {...}, "oldest_due"}`; times ISO 8601, counts of deliveries by state.

    A store's `quiet` tells that it has been silent for longer than it ever was; `patience_s` is how long that would be, if known. Its
    `lost` counts the webhooks since its last order that held an error in place of one; None: no such webhook.
    """
    names = sorted({*settings.stores, *views.store_names(connection)})
    counted = figures.by_state(connection, names, now)
    refused: dict[str, dict[str, Any]] = {}
    for row in figures.all_refusals(connection):
        refused.setdefault(row.store, {})[row.reason] = {"count": row.times, "last_at": timestamp(row.last_at)}
    accounts = {name: _account(connection, name, now) for name in settings.accounts}
    due = figures.oldest_due(connection, now)
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
                "deliveries": counted.get(name, {}),
                "refused": refused.get(name, {}),
                "lost": _lost(lost.get(name)),
                **_rhythm(connection, name, now),
            }
            for name in names
        },
        "accounts": accounts,
    }


def losing(store: str, orders: LostOrders) -> str:
    """A sentence on a store that loses orders, with what to do."""
    number = "1 webhook" if orders.number == 1 else f"{orders.number} webhooks"
    return (
        f"store {store} is losing orders: {number} without an order since {timestamp(orders.since)}. {orders.why}. Run drip-adapter "
        f"connect {store} to replace its webhooks, then drip-adapter reconcile {store} to fetch the lost orders"
    )


def _lost(orders: LostOrders | None) -> dict[str, Any] | None:
    if orders is None:
        return None
    return {"count": orders.number, "since": timestamp(orders.since), "last_at": timestamp(orders.last_at), "why": orders.why}


def rhythm(connection: Connection, store: str) -> Rhythm:
    """How a store speaks, by the webhooks of the last two weeks."""
    last_at = arrivals.last_arrival(connection, store)
    spoke = arrivals.hours_with_arrivals(connection, store, last_at, HOURS) if last_at else ()
    return rhythm_of(last_at, spoke)


def _rhythm(connection: Connection, store: str, now: datetime) -> dict[str, Any]:
    known = rhythm(connection, store)
    patience = round(known.patience.total_seconds()) if known.patience else None
    return {"last_at": timestamp(known.last_at) if known.last_at else None, "patience_s": patience, "quiet": known.is_quiet(now)}


def _account(connection: Connection, account: str, now: datetime) -> dict[str, Any]:
    lease = accounts.lease(connection, account)
    if lease is None:
        return {"sender": False, "paused": None, "outage": None, "outage_why": None}
    paused = {"since": timestamp(lease.paused_since), "why": lease.pause_reason} if lease.paused_since else None
    outage = timestamp(lease.outage_since) if lease.outage_since else None
    outage_why = lease.pause_reason if outage and not paused else None
    # A sender that was killed leaves its lease behind. The times are the database's, and its clock may be another.
    sends = lease.holder is not None and lease.expires_at > now - _CLOCKS_DIFFER
    return {"sender": sends, "paused": paused, "outage": outage, "outage_why": outage_why}


def _why(
    settings: Settings, counted: dict[str, dict[str, int]], accounts: dict[str, Any], due: datetime | None, now: datetime
) -> list[str]:
    why = [f"account {name} is paused: {state['paused']['why']}" for name, state in accounts.items() if state["paused"]]
    why += [
        f"Drip has not answered for account {name} since {state['outage']}" + (f": {state['outage_why']}" if state["outage_why"] else "")
        for name, state in accounts.items()
        if state["outage"]
    ]
    if without := sorted(store.name for store in settings.stores.values() if store.account is None):
        why.append(f"no Drip account for {', '.join(without)}: set DRIP_ACCOUNT_ID and DRIP_API_KEY; deliveries are kept and wait")
    if orphans := sorted(name for name, states in counted.items() if settings.store(name) is None and states.get("pending")):
        why.append(f"deliveries wait for {', '.join(orphans)}, which no setting names: configure it, or name it in another store's aliases")
    if due is not None and now - due > STUCK_AFTER:
        why.append(f"the oldest delivery has been due since {timestamp(due)}: is a sender running? (drip-adapter serve, or send)")
    return why
