"""The newest orders with what a shop owner knows of them: shown by the dashboard's list and by `orders list`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox import orders
from adapter.inbox.sending import Lane
from adapter.operations.order_summary import Summary, summaries
from adapter.operations.wording import instant, instant_or_none
from adapter.settings import Settings

_PAGE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An order in a list."""

    newest: Row[Any]
    """The delivery that has its state: the newest one with any news."""
    summary: Summary | None
    """None if it is erased, or can't be mapped."""
    action: str
    """Drip's last action; blank if Drip accepted none."""
    acted_at: datetime | None


def list_orders(
    connection: Connection, configured: Settings, limit: int, *, before: int | None = None, store: str = ""
) -> tuple[list[Listed], int | None]:
    """Orders by their newest delivery, the newest first, and the delivery's id to continue before; None at the end."""
    page = orders.newest_orders(connection, limit, before=before, store=store)
    known = summaries(connection, configured, page.rows)
    actions = orders.last_actions(connection, [Lane(row.store, row.order_id) for row in page.rows if row.order_id])
    return [_listed(row, known.get(row.id), actions.get(Lane(row.store, row.order_id))) for row in page.rows], page.before


def all_orders(connection: Connection, configured: Settings, limit: int, *, store: str = "") -> Iterator[Listed]:
    """The same without pages."""
    before: int | None = None
    while limit > 0:
        found, before = list_orders(connection, configured, min(limit, _PAGE), before=before, store=store)
        yield from found
        limit -= len(found)
        if before is None:
            return


def document(each: Listed) -> dict[str, Any]:
    """An order as `orders list --json` prints it."""
    row, summary = each.newest, each.summary
    return {
        "store": row.store,
        "order_id": row.order_id,
        "order_number": row.order_number,
        "total": summary.total if summary else None,
        "currency": summary.currency or None if summary else None,
        "items": summary.items if summary else None,
        "shopper": summary.shopper or None if summary else None,
        "action": each.action or None,
        "action_at": instant_or_none(each.acted_at),
        "delivery": str(row.id),
        "state": row.state,
        "reason": row.reason,
        "received_at": instant(row.received_at),
    }


def _listed(row: Row[Any], summary: Summary | None, last: tuple[str, datetime] | None) -> Listed:
    action, acted_at = last or ("", None)
    return Listed(newest=row, summary=summary, action=action, acted_at=acted_at)


def number_of(row: Row[Any]) -> str:
    """An order's number as the shopper sees it, or the store's own id without one; blank if it isn't read or is no order."""
    return f"#{row.order_number}" if row.order_number else row.order_id or ""
