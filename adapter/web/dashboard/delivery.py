"""The page of one delivery: what happened to it, step by step, and what was sent to Drip."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, abort, render_template, request
from sqlalchemy import Connection, Row

from adapter.inbox import audit, search, views
from adapter.operations import preview
from adapter.operations.dead_letters import advise
from adapter.operations.mapping_work import Preview
from adapter.operations.masking import without_addresses
from adapter.operations.order_summary import summaries
from adapter.web.dashboard import json_tree
from adapter.web.dashboard.advice import outcome, product_source
from adapter.web.dashboard.filters import duration
from adapter.web.dashboard.layout import blueprint, is_refresh, now, read, settings, write
from mappings import parse


@dataclass(frozen=True, slots=True)
class Event:
    """A step in a delivery's timeline."""

    at: datetime | None
    what: str
    detail: str = ""
    kind: str = ""
    """`done`, `failed`, `next` or blank."""
    after: str = ""


@blueprint.get("/deliveries/<int:delivery>")
def show_delivery(delivery: int) -> str | Response:
    """The page, with personal data hidden. Finding out where each field comes from takes long, so an unchanged page isn't made again."""
    if is_refresh() and request.if_none_match.contains(_version(find(delivery))):
        return Response(status=304)
    return render_template("delivery.html", **read(lambda connection: _look(connection, delivery, shown=False)))


@blueprint.post("/deliveries/<int:delivery>/reveal")
def reveal(delivery: int) -> str:
    """The page with personal data, this once; recorded in the audit."""
    find(delivery)
    write(lambda connection: audit.note(connection, audit.VIEWED, f"delivery {delivery}", "", now()))
    return render_template("delivery.html", **read(lambda connection: _look(connection, delivery, shown=True)))


def find(delivery: int) -> Row[Any]:
    """A delivery; the page is a 404 if there is none."""
    row = read(lambda connection: views.one(connection, delivery)) if delivery < 2**63 else None
    if row is None:
        abort(404, f"There is no delivery {delivery}. It may have been deleted after the retention period.")
    return row


def _look(connection: Connection, delivery: int, *, shown: bool) -> dict[str, Any]:
    row = views.one(connection, delivery) if delivery < 2**63 else None
    if row is None:
        abort(404, f"There is no delivery {delivery}. It may have been deleted after the retention period.")
    attempts = search.attempts_of(connection, delivery)
    kept = next((attempt for attempt in reversed(attempts) if attempt.body is not None), None)
    sent = parse(kept.body) if kept else None
    too_long = row.payload is not None and len(row.payload) > preview.LONGEST
    today = preview.make_preview(connection, row, settings(), sent) if row.payload is not None and not too_long else None
    return {
        "row": row,
        "page_version": _version(row),
        "summary": summaries(connection, settings(), [row]).get(row.id),
        "problems": _problems(row.problems),
        "dead": advise(row, attempts, today) if row.state == "dead" else None,
        "events": _events(row, attempts),
        "parts_ids": views.parts_of(connection, row) if row.reason == "split" else [],
        "looked_up": json.loads(kept.looked_up) if kept and kept.looked_up else {},
        "shown": shown,
        "sent": sent,
        "today": today,
        "too_long": too_long,
        **_side_by_side(today, sent, shown=shown),
        "raw": row.payload.decode("utf-8", "replace")[:20_000] if shown and today and today.document is None else "",
        "difference": preview.difference(sent, today.body, shown=shown) if today and today.body and sent else [],
    }


def _version(row: Row[Any]) -> str:
    """Changes with whatever changes of a delivery."""
    parts = (row.state, row.read_at, row.due_at, row.settled_at, row.attempts, row.failed, row.payload is None)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _side_by_side(today: Preview | None, sent: Any, *, shown: bool) -> dict[str, Any]:
    document = today.document if today else None
    body = sent if sent is not None else (today.body if today else None)
    anchors = json_tree.anchors_of(document, "p") if document is not None else {}
    sources = today.traces if today else {}
    return {
        "payload": json_tree.lines(document, "p", shown=shown) if document is not None else [],
        "body": json_tree.lines(body, "d", shown=shown, sources=sources, anchors=anchors) if body is not None else [],
        "is_traced": bool(sources),
    }


def _events(row: Row[Any], attempts: Sequence[Row[Any]]) -> list[Event]:
    events = [Event(row.received_at, "Received and stored", f"{row.topic or 'no topic'} from {row.store}", "done")]
    if row.parent_id:
        events[0] = Event(row.received_at, f"Split from delivery {row.parent_id}", "", "done")
    if row.read_at:
        of = f"order {row.order_id}" if row.order_id else "contains no order"
        events.append(Event(row.read_at, "Read", of, "done", f"{duration(row.read_at - row.received_at)} later"))
    stored: set[tuple[str, str]] = set()
    for attempt in attempts:
        # A request without a known outcome is repeated with the stored body, without mapping it again.
        repeated = (attempt.action, attempt.digest) in stored and not attempt.looked_up
        events += [_tried(attempt)] if repeated else [_made(attempt), _tried(attempt)]
        stored.add((attempt.action, attempt.digest))
    return [*events, _end(row)]


def _made(attempt: Row[Any]) -> Event:
    """The body is stored when its request begins, so that is when it was mapped and its products were looked up."""
    looked_up = json.loads(attempt.looked_up) if attempt.looked_up else {}
    if attempt.body is None:
        return Event(attempt.begun_at, "Mapped", "the body has been erased", "done")
    sources = Counter(str(source) for source in looked_up.values())
    products = ", ".join(f"{count} {product_source(source)}" for source, count in sources.items())
    return Event(attempt.begun_at, "Mapped", f"products: {products}" if products else "no products to look up", "done")


def _tried(attempt: Row[Any]) -> Event:
    answer = json.loads(attempt.answer) if attempt.answer else {}
    details = [f"HTTP {attempt.status}"] if attempt.status else []
    details += [without_addresses(str(answer["what"]))] if answer.get("what") and attempt.outcome != "delivered" else []
    details += [without_addresses(json.dumps(error, ensure_ascii=False)) for error in answer.get("errors", ())]
    details += [f"Drip request ID {attempt.drip_request_id}"] if attempt.drip_request_id else []
    kind = "done" if attempt.outcome == "delivered" else "failed"
    length = f"response after {duration(attempt.ended_at - attempt.begun_at)}" if attempt.ended_at else ""
    in_batch = " in a batch" if attempt.kind == "batch" else ""
    return Event(attempt.begun_at, f"Sent as {attempt.action}{in_batch}: {outcome(attempt.outcome)}", "; ".join(details), kind, length)


def _end(row: Row[Any]) -> Event:
    if row.state == "pending":
        if row.read_at is None:
            return Event(None, "Waiting to be read", "", "next")
        if row.due_at > now() + timedelta(seconds=1):
            return Event(row.due_at, "Next attempt", "", "next")
        return Event(None, "Due: will be sent as soon as the Drip account accepts orders", "", "next")
    length = duration(row.settled_at - row.received_at) if row.settled_at else ""
    if row.state == "delivered":
        return Event(row.settled_at, "Delivered", f"{length} after it was received", "done")
    if row.state == "skipped":
        return Event(row.settled_at, "Skipped", row.detail or "", "done")
    return Event(row.settled_at, "Dead: won't be retried automatically", "", "failed")


def _problems(text: str | None) -> list[tuple[str, str]]:
    """Path, and what is wrong there."""
    return [(path, without_addresses(" ".join(reasons))) for path, reasons in (json.loads(text) if text else {}).items()]
