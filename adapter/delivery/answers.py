"""What an answer from Drip means for the order that was posted, whatever sent it: Drip, a proxy or a captive portal.

Source of statuses and errors: Drip's API documentation, pages "Order Activity", "Batch API", "Errors", "Rate limiting".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from adapter.delivery.pacing import Kind

_LONGEST_COUNT = 10
_LONGEST_WAIT = timedelta(hours=1)
_MOST_WORDS = 8
_EXAMINED = 20_000


class Outcome(StrEnum):
    """What an answer means for the order."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Not the order's fault: retried after a backoff."""
    THROTTLED = "throttled"
    BLOCKED = "blocked"
    """Not the order's fault: the account's credentials or plan."""
    REFUSED = "refused"
    """Drip will never accept this body."""
    NO_BATCHES = "no_batches"
    """Drip has no batch endpoint for this account."""


_SINGLE = {400: Outcome.REFUSED, 422: Outcome.REFUSED, 429: Outcome.THROTTLED} | dict.fromkeys(
    (401, 402, 403, 404, 410, 451), Outcome.BLOCKED
)
# One invalid or oversized order fails the whole batch; a missing batch endpoint does not mean that the account is wrong.
_BATCH = _SINGLE | {413: Outcome.REFUSED, 404: Outcome.NO_BATCHES, 405: Outcome.NO_BATCHES}
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one POST."""

    outcome: Outcome
    status: int | None = None
    """None: no answer."""
    outcome_unknown: bool = False
    """Whether Drip may have accepted the order although no answer confirms it."""
    from_drip: bool = False
    """Whether Drip itself answered: no answer, a 5xx and a stranger's page are signs of an outage, not of a bad order."""
    request_ids: tuple[str, ...] = ()
    """Drip's id for each order, in the order posted; empty if it returned none."""
    errors: tuple[Mapping[str, Any], ...] = ()
    retry_after: timedelta | None = None
    limit: int | None = None
    """X-RateLimit-Limit: requests of this kind an hour."""
    remaining: int | None = None
    """X-RateLimit-Remaining."""
    what: str = ""
    """A summary for people and logs; never quotes a body."""


def read_answer(kind: Kind, status: int, headers: Mapping[str, str], content: bytes, posted: bytes) -> Answer:
    """The meaning of an HTTP response to `posted`. Drip answers with a JSON object or an empty body, and never redirects.

    Anything else is a stranger's, such as a proxy's page: it accepts nothing, and it is no verdict on an order either.
    """
    document = _object(content)
    is_strange = (document is None and bool(content.strip())) or 300 <= status < 400
    document = document or {}
    errors = document.get("errors")
    outcome = _outcome(kind, status, is_accepted=not (is_strange or errors or document.get("error")), is_strange=is_strange)
    return Answer(
        outcome=outcome,
        status=status,
        outcome_unknown=status >= _SERVER_ERROR or (200 <= status < 300 and outcome != Outcome.DELIVERED),
        from_drip=status < _SERVER_ERROR and not is_strange,
        request_ids=_request_ids(document) if outcome == Outcome.DELIVERED else (),
        errors=tuple(error for error in errors if isinstance(error, dict)) if isinstance(errors, list) else (),
        retry_after=_retry_after(headers) if outcome == Outcome.THROTTLED else None,
        limit=_count(headers, "X-RateLimit-Limit"),
        remaining=_count(headers, "X-RateLimit-Remaining"),
        what=_described(status, headers, content, posted) if is_strange else _summary(status, accepted=outcome == Outcome.DELIVERED),
    )


def _outcome(kind: Kind, status: int, *, is_accepted: bool, is_strange: bool) -> Outcome:
    if 200 <= status < 300:
        return Outcome.DELIVERED if is_accepted else Outcome.RETRY
    found = (_BATCH if kind == "batch" else _SINGLE).get(status, Outcome.RETRY)
    return Outcome.RETRY if is_strange and kind == "single" and found == Outcome.REFUSED else found


def _summary(status: int, *, accepted: bool) -> str:
    return f"Drip answered {status} with errors" if 200 <= status < 300 and not accepted else f"Drip answered {status}"


def _described(status: int, headers: Mapping[str, str], content: bytes, posted: bytes) -> str:
    """A response that is not Drip's: its content type and first words, without any word of the order that was posted."""
    kind = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}", headers.get("Content-Type", ""))
    words = _first_words(content, posted)
    quoted = f' ("{words}")' if words else ""
    if status >= _SERVER_ERROR:  # Drip's own load balancer, or a proxy on this side
        return f"a server in front of Drip answered {status} with {kind[0] if kind else 'no content type'}{quoted}"
    if 300 <= status < 400:
        host = re.match(r"https?://([\w.-]{1,100})", headers.get("Location", ""))
        found = f"a redirect{f' to {host[1]}' if host else ''}"
    else:
        found = f"{kind[0] if kind else 'no content type'} instead of a JSON object{quoted}"
    return f"something other than Drip answered {status} with {found}; check DRIP_API_URL and any proxy in between"


def _first_words(content: bytes, posted: bytes) -> str:
    """The title of a page, or a text's first words. A page that echoes the request must not put the order into a log."""
    text = content[:_EXAMINED].decode(errors="replace")
    title = re.search(r"<title[^<>]*>([^<]*)", text, re.IGNORECASE)
    text = title[1] if title else re.sub(r"<(script|style)\b.*?</\1\s*>|<[^<>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    personal = {word.casefold() for word in re.findall(r"[^\W\d_]+", _decoded(posted))}
    words = (match[1] for match in re.finditer(r"(?<!\S)([^\W\d_]{1,20})[.,:;!?]?(?!\S)", text))
    return " ".join([word for word in words if word.casefold() not in personal][:_MOST_WORDS])


def _decoded(posted: bytes) -> str:
    """A body's text, with its escapes resolved."""
    return json.dumps(json.loads(posted), ensure_ascii=False)


def _request_ids(document: Mapping[str, Any]) -> tuple[str, ...]:
    several = document.get("request_ids")
    if isinstance(several, list):
        return tuple(str(each) for each in several)
    return (str(document["request_id"]),) if document.get("request_id") else ()


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < _LONGEST_COUNT else None


def _object(content: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; None if it holds anything else."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Seconds or a date, capped at the hour after which any quota has recovered."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal() and len(value) < _LONGEST_COUNT:
        wait = timedelta(seconds=int(value))
    elif (moment := _date(value)) is not None:
        wait = moment - datetime.now(UTC)
    else:
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
