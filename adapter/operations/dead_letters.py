"""Why a delivery is dead, what mends it, and whether a retry can help."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox import views
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.search import attempts_of
from adapter.inbox.settling import GIVEN_UP, REFUSED
from adapter.inbox.sources import NOT_FETCHED
from adapter.operations.mapping_work import Preview
from adapter.operations.masking import masked, without_addresses
from adapter.operations.preview import LONGEST, make_preview, not_configured
from adapter.settings import Settings
from mappings import parse

_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Advice:
    """What a page and a command say about a dead letter."""

    cause: str
    """Who is at fault, in a sentence."""
    mend: str
    """What to do about it."""
    can_retry: bool
    """Whether a retry may end differently."""
    again: str = ""
    """That the last retry ended the same way; blank otherwise."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.cause, self.again, self.mend) if part)


def in_short(row: Row[Any]) -> str:
    """Why a delivery is dead, for a line in a list; personal data is hidden."""
    problems = _problems(row)
    words = "; ".join(f"{path or 'payload'}: {' '.join(reasons)}" if path else " ".join(reasons) for path, reasons in problems.items())
    return without_addresses(f"{row.detail}: {words}" if row.detail == REFUSED else words)


def advise(row: Row[Any], attempts: Sequence[Row[Any]], today: Preview | None) -> Advice:
    """What is known about a dead delivery. `today` is what the current version makes of it; None if it wasn't mapped."""
    if row.payload is None:
        return Advice("Its payload has been erased.", "It can't be sent again.", can_retry=False)
    if row.detail == REFUSED:
        return _refused(row, attempts, today)
    if row.detail == GIVEN_UP:
        again = "It was tried again, and Drip didn't accept it then either." if row.problems_before == row.problems else ""
        return Advice("Drip could not be reached, or did not accept it, for days.", "Retry it now that Drip responds.", True, again)
    return _unmapped(row, today)


def advise_on(connection: Connection, delivery: int, settings: Settings) -> Advice | None:
    """The same for a delivery by its id; None if it isn't dead."""
    row = views.one(connection, delivery)
    if row is None or row.state != "dead":
        return None
    attempts = attempts_of(connection, delivery)
    if row.payload is None or len(row.payload) > LONGEST:
        return advise(row, attempts, None)
    sent = next((parse(attempt.body) for attempt in reversed(attempts) if attempt.body is not None), None)
    return advise(row, attempts, make_preview(connection, row, settings, sent))


def hopeless(connection: Connection, ids: Sequence[int], settings: Settings) -> dict[int, Advice]:
    """Which of these dead deliveries would end the same way if they were retried now, and why."""
    found = {}
    for delivery in ids:
        advice = advise_on(connection, delivery, settings)
        if advice is not None and not advice.can_retry:
            found[delivery] = advice
    return found


def _unmapped(row: Row[Any], today: Preview | None) -> Advice:
    again = "It was tried again, and ended the same way." if row.problems_before == row.problems else ""
    if is_locked(row.payload):
        return Advice("Its payload can't be read.", f"{LOCKED[:1].upper()}{LOCKED[1:]}. Then retry it.", False, again)
    if _reasons(row).startswith(NOT_FETCHED):
        return Advice("The store's API didn't return the order.", "Run drip-adapter check, mend what it finds, then retry.", True, again)
    if today is None:
        return Advice("The payload could not be mapped, and is too long to be tried here.", "Retry it after an update.", not again, again)
    if today.problems:
        return _unmapped_today(row, today, again)
    if again:
        return Advice("The payload could not be mapped.", "Download the fixture and report the problem.", False, again)
    return Advice("The payload could not be mapped, but the current version can map it.", "Retry it.", True)


def _unmapped_today(row: Row[Any], today: Preview, again: str) -> Advice:
    if not_configured(row.store) in today.problems.get("", ()):
        mend = "Configure the store, or add its name to another store's aliases. Then retry it."
        return Advice("Its store is not in the settings.", mend, False, again)
    mend = "Correct the order in the store, which then sends it again, or download the fixture and report the problem."
    return Advice("The payload can't be mapped, and the current version can't map it either.", mend, False, again)


def _reasons(row: Row[Any]) -> str:
    return " ".join(_problems(row).get("", ()))


def _refused(row: Row[Any], attempts: Sequence[Row[Any]], today: Preview | None) -> Advice:
    sent = next((parse(attempt.body) for attempt in reversed(attempts) if attempt.body is not None), None)
    fields = [path for path in _problems(row) if path]
    changed = sent is not None and today is not None and today.body is not None and _differ(sent, today.body, fields)
    hidden = masked(sent)
    values = [f"{path} was {_shown(value)}" for path in fields if (value := _value(hidden, path)) is not None]
    cause = f"Drip refused this order{': ' + '; '.join(values) if values else ''}."
    refusals = [attempt for attempt in attempts if attempt.outcome == "refused"]
    again = len(refusals) > 1 and refusals[-1].answer == refusals[-2].answer
    return Advice(
        cause, _mend(fields, changed=changed), changed, "It was sent again, and Drip refused it for the same reason." if again else ""
    )


def _mend(fields: Sequence[str], *, changed: bool) -> str:
    if changed:
        return "The current version sends something else: retry it."
    if any(field.rpartition(".")[2] == "email" for field in fields):
        return "Correct the email address of the order in the store, which then sends the order again."
    what = f"Correct {' and '.join(fields)} in the store" if fields else "Correct the order in the store"
    return f"{what}, which then sends the order again. If the value is right, download the fixture and report the problem."


def _differ(sent: Mapping[str, Any], today: Mapping[str, Any], fields: Sequence[str]) -> bool:
    """Whether the current version would send another value of the fields that Drip refused; of any field if it named none."""
    if fields:
        return any(_value(sent, path) != _value(today, path) for path in fields)
    return {**sent, "action": "", "occurred_at": ""} != {**today, "action": "", "occurred_at": ""}


def _value(body: Any, path: str) -> Any:
    """What stands at a path such as `items.0.price`; None if nothing does."""
    found = body
    for name in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _problems(row: Row[Any]) -> Mapping[str, Sequence[str]]:
    found: Mapping[str, Sequence[str]] = json.loads(row.problems) if row.problems else {}
    return found
