"""Sending many again: how many it would be, and then piece by piece."""

import time
from collections.abc import Sequence

from flask import flash, render_template, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import audit, search, views
from adapter.inbox.counters import newest_id
from adapter.inbox.tables import deliveries
from adapter.inbox.views import Choice
from adapter.operations.retry import reopen, tell
from adapter.process.wake_up import wake_senders
from adapter.web.dashboard.deliveries import choice_of, chosen, whole
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write

_PIECE = 200
"""So many are locked at once: webhooks wait for no longer than that takes."""
_PATIENCE_S = 8.0
"""A page that takes longer is cut off by platforms."""


@blueprint.post("/deliveries/retry")
def confirm_retry() -> str:
    """Say how many would be sent again, before anything is done."""
    picked, everything = _picked(), request.form.get("which") == "all"
    choice = choice_of(request.form)
    until, count = read(lambda connection: _count(connection, choice, None if everything else picked))
    return render_template(
        "retry.html",
        count=count,
        most=views.MOST_RETRIED,
        until=until,
        picked=[] if everything else picked,
        choice=choice,
        chosen=chosen(request.form),
    )


@blueprint.post("/deliveries/retry/now")
def retry_chosen() -> Response | str:
    """Send them again, as many as the time of a page allows."""
    picked, choice = _picked(), choice_of(request.form)
    before, done = whole(request.form.get("below", "")) or 0, whole(request.form.get("done", "")) or 0
    forced = request.form.get("force") == "1"
    if picked:
        done = _reopen(picked, f"{len(picked)} deliveries picked", forced=forced)
    else:
        done, left = _retry_all(choice, before, done, forced=forced)
        if left is not None:
            return render_template("retrying.html", done=done, until=left, chosen=chosen(request.form), forced=forced)
    if done:
        wake_senders(settings().database_url)
    flash(f"{done:,} {'delivery is' if done == 1 else 'deliveries are'} sent again.", "good")
    return back_to("list_deliveries", **chosen(request.form) if not picked else {})


def described(choice: Choice) -> str:
    """A choice in words; a search for a shopper is not quoted."""
    words = [f"{name} {getattr(choice, name)}" for name in ("store", "state", "reason", "topic") if getattr(choice, name)]
    words += [f"received {name} {moment:%Y-%m-%d %H:%M}" for name, moment in (("since", choice.since), ("until", choice.until)) if moment]
    words += ["found by a search"] if choice.text or choice.email_digest else []
    return ", ".join(words) or "all"


def _retry_all(choice: Choice, before: int, done: int, *, forced: bool) -> tuple[int, int | None]:
    """How many were sent again so far, and the id to go on from if time ran out."""
    ends = time.monotonic() + _PATIENCE_S
    subject = f"deliveries: {described(choice)}"
    while time.monotonic() < ends:
        found: Sequence[int] = read(lambda connection, before=before: views.retriable(connection, choice, before, _PIECE))  # type: ignore[misc]
        if not found:
            return done, None
        if piece := _reopen(found, subject, forced=forced):
            done, subject = done + piece, ""  # each page that did something stands in the audit once
        before = found[-1]
    return done, before


def _reopen(ids: Sequence[int], subject: str, *, forced: bool) -> int:
    """Send some again, and note it under a subject, if there is one; how many."""
    which = deliveries.c.id.in_(ids)
    reopened = write(
        lambda connection: reopen(connection, which, at=now(), forced=forced, subject=subject, actor=audit.ADMINISTRATOR),
    )
    tell(reopened)
    return len(reopened)


def _count(connection: Connection, choice: Choice, picked: list[int] | None) -> tuple[int, int]:
    until = newest_id(connection) + 1
    if picked is not None:
        return until, search.retriable(connection, deliveries.c.id.in_(picked))
    return until, views.count_retriable(connection, choice, until)


def _picked() -> list[int]:
    found = (whole(text) for text in request.form.getlist("id")[: views.MOST])
    return [each for each in found if each is not None]
