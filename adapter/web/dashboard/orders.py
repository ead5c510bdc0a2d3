"""The orders: the newest ones, and one with its whole history and what Drip has now."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Response, abort, make_response, render_template, request
from sqlalchemy import Connection, Row

from adapter.inbox.orders import NO_NEWS
from adapter.operations.dead_letters import advise_on
from adapter.operations.order_history import changes_of, history, leading, summary_of
from adapter.operations.order_list import list_orders
from adapter.operations.order_summary import Summary
from adapter.web.dashboard import json_tree
from adapter.web.dashboard.deliveries import whole
from adapter.web.dashboard.layout import blueprint, read, settings
from adapter.web.dashboard.security import content_policy
from mappings import parse

_PAGE = 50
_MOST_HOSTS = 20
_MOST_TABS = 6
"""With more stores than that, a list to choose from takes the place of tabs."""
_HOST = re.compile(r"[a-z0-9.-]+(:\d+)?", re.IGNORECASE)


@blueprint.get("/orders")
def show_orders() -> str:
    """The newest orders."""
    before, store = whole(request.args.get("before", "")), request.args.get("store", "")
    found, following = read(lambda connection: list_orders(connection, settings(), _PAGE, before=before, store=store))
    stores = sorted(settings().stores)
    return render_template(
        "orders.html", orders=found, before=following, store=store, stores=stores, most_tabs=_MOST_TABS, is_first=before is None
    )


@blueprint.get("/orders/<store>/<path:order_id>")
def show_order(store: str, order_id: str) -> Response:
    """The page of an order.

    The pictures of its items come from the hosts that the store gave Drip, and the page's content policy names no others. They are
    loaded as they scroll into view and without a referrer: their host learns that someone sees a product, as with any visit to the shop.
    """
    found = read(lambda connection: _look(connection, store, order_id))
    if not found["deliveries"] and not found["at_drip"]:
        abort(404, "No deliveries of this order are stored, and it was never sent to Drip.")
    body = found.pop("body")
    lines = json_tree.lines(parse(body.body), "d", shown=False) if body is not None else []
    response = make_response(render_template("order.html", store=store, order_id=order_id, body=lines, **found))
    response.headers["Content-Security-Policy"] = content_policy(_picture_hosts(found["summary"]))
    return response


def _look(connection: Connection, store: str, order_id: str) -> dict[str, Any]:
    found = history(connection, settings(), store, order_id)
    led = leading(found)
    return found | {
        "summary": summary_of(connection, settings(), found),
        "changes": changes_of(connection, found),
        "runs": _runs(found["deliveries"]),
        "leading": led,
        "dead": advise_on(connection, led.id, settings()) if led is not None and led.state == "dead" else None,
    }


def _runs(rows: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    """The deliveries, each on its own; those that follow each other and were skipped as no news, for the same reason, together."""
    found: list[list[Row[Any]]] = []
    for row in rows:
        if found and row.reason in NO_NEWS and found[-1][-1].reason == row.reason:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def _picture_hosts(summary: Summary | None) -> list[str]:
    hosts = {urlsplit(line.image_url).netloc for line in summary.lines if line.image_url} if summary else set()
    return sorted(f"https://{host}" for host in hosts if _HOST.fullmatch(host))[:_MOST_HOSTS]
