"""The list of deliveries, newest first, with filters and search."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import render_template, request, session
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import views
from adapter.inbox.email_digests import digests_of
from adapter.inbox.views import Choice
from adapter.operations.order_summary import summaries
from adapter.web.dashboard.layout import back_to, blueprint, read, settings
from mappings import Reason

STATES = ("pending", "delivered", "skipped", "dead")
_PLAIN = ("store", "state", "reason", "topic", "q", "since", "until", "mail")
_LONGEST = 200
_SEARCHES_KEPT = 5
_NOBODY = "nobody"
"""No address has this digest."""


@blueprint.get("/deliveries")
def list_deliveries() -> str:
    """One page of the list."""
    choice, before = choice_of(request.args), whole(request.args.get("before", ""))
    found = read(lambda connection: _look(connection, choice, before))
    names = found.pop("names")
    return render_template(
        "deliveries.html",
        **found,
        most=views.MOST,
        choice=choice,
        chosen=chosen(request.args),
        stores=sorted({*settings().stores, *names}),
        states=STATES,
        reasons=list(Reason),
        is_first=before is None,
    )


@blueprint.post("/search")
def search() -> Response:
    """Find an order by number, id or email. An email address is matched by its digest and appears in no URL and no log."""
    typed = request.form.get("q", "").strip()[:_LONGEST]
    if "@" in typed:
        return _search_email(typed)
    if not typed:
        return back_to("list_deliveries")
    bare = typed.removeprefix("#")
    rows = read(lambda connection: views.page(connection, Choice(text=typed))).rows
    named = {(row.store, row.order_id or "") for row in rows if bare in (row.order_number, row.order_id)}
    if not rows:  # its deliveries may be deleted, but what Drip has isn't
        named = {
            (row.store, row.order_id)
            for row in read(lambda connection: views.at_drip(connection, list(settings().accounts), list(settings().stores), bare))
        }
    if len(named) == 1 and all(order_id for _, order_id in named):
        store, order_id = named.pop()
        return back_to("show_order", store=store, order_id=order_id)
    if len(rows) == 1:
        return back_to("show_delivery", delivery=rows[0].id)
    return back_to("list_deliveries", q=typed)


def _search_email(address: str) -> Response:
    digests = read(lambda connection: digests_of(connection, address)) or [_NOBODY]
    page = read(lambda connection: views.page(connection, Choice(email_digests=tuple(digests))))
    orders = {(row.store, row.order_id) for row in page.rows if row.order_id}
    if len(orders) == 1 and page.before is None:
        store, order_id = orders.pop()
        return back_to("show_order", store=store, order_id=order_id)
    kept = dict(list(session.get("searches", {}).items())[-_SEARCHES_KEPT + 1 :])
    name = secrets.token_hex(4)
    session["searches"] = {**kept, name: digests}
    return back_to("list_deliveries", mail=name)


def choice_of(values: Mapping[str, str]) -> Choice:
    """The choice of deliveries described by a URL or form; invalid values are ignored."""
    state, reason = values.get("state", ""), values.get("reason", "")
    mail = values.get("mail", "")
    return Choice(
        store=values.get("store", "")[:_LONGEST],
        state=state if state in STATES else "",
        reason=reason if reason in list(Reason) else "",
        topic=values.get("topic", "").strip()[:_LONGEST],
        since=_moment(values.get("since", "")),
        until=_moment(values.get("until", "")),
        text=values.get("q", "").strip()[:_LONGEST],
        # A search that the session no longer has finds nothing rather than everything.
        email_digests=tuple(session.get("searches", {}).get(mail) or [_NOBODY]) if mail else (),
    )


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a URL or form that describe a choice."""
    return {name: values[name] for name in _PLAIN if values.get(name)}


def _look(connection: Connection, choice: Choice, before: int | None) -> dict[str, Any]:
    page = views.page(connection, choice, before)
    samples = [found for text in request.args.get("samples", "").split(",")[: views.PAGE] if (found := whole(text)) is not None]
    return {
        "page": page,
        "samples": views.states_of(connection, samples) if samples else {},
        "count": None if choice.is_all else views.counted(connection, choice),
        "names": views.store_names(connection),
        "summaries": summaries(connection, settings(), page.rows),
        "tried": {each.delivery_id: each for each in views.attempts_of(connection, [row.id for row in page.rows])},
    }


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def whole(text: str) -> int | None:
    """A whole number that fits both databases; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and int(text) < 2**63 else None
