"""One order's history across its deliveries, and what Drip has: shown by the dashboard's order page and by `orders show`."""

import json
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox import orders, views
from adapter.operations.masking import masked, without_addresses
from adapter.operations.order_changes import changes
from adapter.operations.order_summary import Summary, of_body, summaries
from adapter.operations.wording import instant, instant_or_none
from adapter.settings import Settings
from mappings import parse

_MOST_BODIES = 100


def history(connection: Connection, configured: Settings, store: str, order_id: str) -> dict[str, Any]:
    """An order's deliveries and attempts, oldest first, and what Drip has of it."""
    named = configured.store(store)
    names = named.names if named else (store,)
    rows = views.history(connection, names, order_id)
    ids = [row.id for row in rows]
    attempts: dict[int, list[Row[Any]]] = {}
    for attempt in views.attempts_of(connection, ids):
        attempts.setdefault(attempt.delivery_id, []).append(attempt)
    return {
        "deliveries": rows,
        "attempts": attempts,
        "at_drip": views.at_drip(connection, list(configured.accounts), names, order_id),
        "body": views.newest_body(connection, ids) if ids else None,
        "number": next((row.order_number for row in reversed(rows) if row.order_number), ""),
    }


def leading(found: dict[str, Any]) -> Row[Any] | None:
    """The delivery whose state is the order's own: the newest one that isn't skipped because Drip has that version or a newer one."""
    rows = found["deliveries"]
    return next((row for row in reversed(rows) if row.reason not in orders.NO_NEWS), rows[-1] if rows else None)


def summary_of(connection: Connection, configured: Settings, found: dict[str, Any]) -> Summary | None:
    """What the shop owner knows of the order: of what Drip has, else of the newest delivery; None if all of it is erased."""
    if found["body"] is not None:
        return of_body(parse(found["body"].body))
    newest = found["deliveries"][-1:]
    return next(iter(summaries(connection, configured, newest).values()), None)


def changes_of(connection: Connection, found: dict[str, Any]) -> dict[int, list[str]]:
    """Delivery -> what changed with it since what Drip was sent before; the first of an order isn't among them."""
    said: dict[int, list[str]] = {}
    before: Any = None
    for row in orders.sent_bodies(connection, [each.id for each in found["deliveries"]], _MOST_BODIES):
        after = parse(row.body)
        if before is not None:
            said.setdefault(row.delivery_id, []).extend(changes(before, after))
        before = after
    return said


def document(found: dict[str, Any], store: str, order_id: str) -> dict[str, Any]:
    """The result of `history` as `orders show --json` prints it, with personal data hidden."""
    return {
        "store": store,
        "order_id": order_id,
        "order_number": found["number"] or None,
        "at_drip": [
            {
                "account": row.account,
                "delivery": str(row.delivery_id),
                "snapshot_at": instant_or_none(row.snapshot_at),
                "created_at": instant(row.created_at),
                "updated_at": instant(row.updated_at),
                "told": json.loads(row.lifecycle) if row.lifecycle else None,
            }
            for row in found["at_drip"]
        ],
        "body": masked(parse(found["body"].body)) if found["body"] is not None else None,
        "deliveries": [_delivery(row, found["attempts"].get(row.id, [])) for row in found["deliveries"]],
    }


def _delivery(row: Row[Any], attempts: list[Row[Any]]) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "topic": row.topic,
        "state": row.state,
        "reason": row.reason,
        "detail": without_addresses(row.detail) if row.detail else None,
        "received_at": instant(row.received_at),
        "snapshot_at": instant_or_none(row.snapshot_at),
        "settled_at": instant_or_none(row.settled_at),
        "tries": [
            {
                "at": instant(each.begun_at),
                "ended_at": instant_or_none(each.ended_at),
                "account": each.account,
                "kind": each.kind,
                "action": each.action,
                "outcome": each.outcome or "unknown",
                "status": each.status,
                "drip_request_id": each.drip_request_id,
            }
            for each in attempts
        ],
    }
