"""Retrying many deliveries: first a confirmation with their number, then in batches."""

import time
from collections.abc import Sequence
from dataclasses import asdict

from flask import flash, render_template, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import audit, search, views
from adapter.inbox.counters import newest_id
from adapter.inbox.tables import deliveries
from adapter.inbox.views import Choice
from adapter.operations.dead_letters import hopeless
from adapter.operations.retry import log_reopened, reopen, subject_of
from adapter.process.wake_up import wake_senders
from adapter.web.dashboard.deliveries import choice_of, chosen, whole
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write

_BATCH = 200
"""How many rows are locked at a time, which limits how long a webhook may have to wait."""
_MOST_LOOKED_AT = 20
"""Whether a retry can help is found out by mapping the delivery."""
_TIMEOUT_S = 8.0
"""Hosting platforms cut off requests that take much longer."""


@blueprint.post("/deliveries/retry")
def confirm_retry() -> str:
    """Show how many deliveries would be sent again, and which of those selected it can't help, before anything happens."""
    picked, everything = _picked(), request.form.get("which") == "all"
    choice = choice_of(request.form)
    until, count = read(lambda connection: _count(connection, choice, None if everything else picked))
    doubtful = {} if everything else read(lambda connection: hopeless(connection, picked[:_MOST_LOOKED_AT], settings()))
    return render_template(
        "retry.html",
        count=count,
        most=views.MOST_RETRIED,
        until=until,
        picked=[] if everything else picked,
        choice=choice,
        chosen=chosen(request.form),
        doubtful=doubtful,
    )


@blueprint.post("/deliveries/retry/now")
def retry_chosen() -> Response | str:
    """Send them again, as many as one request has time for."""
    picked, choice = _picked(), choice_of(request.form)
    before, done = whole(request.form.get("below", "")) or 0, whole(request.form.get("done", "")) or 0
    forced = request.form.get("force") == "1"
    if picked:
        done = _reopen(picked, subject_of(picked), forced=forced)
    else:
        done, left = _retry_all(choice, before, done, forced=forced)
        if left is not None:
            return render_template("retrying.html", done=done, until=left, chosen=chosen(request.form), forced=forced)
    if done:
        wake_senders(settings().database_url)
    flash(f"{done:,} {'delivery has' if done == 1 else 'deliveries have'} been queued and will be sent again.", "good")
    return back_to("list_deliveries", **chosen(request.form) if not picked else {})


def _retry_all(choice: Choice, before: int, done: int, *, forced: bool) -> tuple[int, int | None]:
    """How many have been queued so far, and the id to continue from if time ran out."""
    ends = time.monotonic() + _TIMEOUT_S
    subject = subject_of(is_search=bool(choice.text or choice.email_digests), **asdict(choice))
    while time.monotonic() < ends:
        found: Sequence[int] = read(lambda connection, before=before: views.retriable(connection, choice, before, _BATCH))  # type: ignore[misc]
        if not found:
            return done, None
        if count := _reopen(found, subject, forced=forced):
            done, subject = done + count, ""  # one audit entry per request that did something
        before = found[-1]
    return done, before


def _reopen(ids: Sequence[int], subject: str, *, forced: bool) -> int:
    """Queue some deliveries, record it in the audit if there is a subject, and return how many."""
    which = deliveries.c.id.in_(ids)
    reopened = write(
        lambda connection: reopen(connection, which, at=now(), forced=forced, subject=subject, actor=audit.ADMINISTRATOR),
    )
    log_reopened(reopened)
    return len(reopened)


def _count(connection: Connection, choice: Choice, picked: list[int] | None) -> tuple[int, int]:
    until = newest_id(connection) + 1
    if picked is not None:
        return until, search.retriable(connection, deliveries.c.id.in_(picked))
    return until, views.count_retriable(connection, choice, until)


def _picked() -> list[int]:
    found = (whole(text) for text in request.form.getlist("id")[: views.MOST])
    return [each for each in found if each is not None]
