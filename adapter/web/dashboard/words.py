"""How the pages say times, numbers, states and reasons."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

from mappings import Reason

SENTENCES = {
    Reason.STORE_ERROR: (
        "The store sent an error of its own in the place of an order.",
        "If the overview says that the store is losing orders, act now: run drip-adapter connect to replace its webhooks. Otherwise the "
        "order was deleted before its webhook was sent.",
    ),
    Reason.NOT_AN_ORDER: (
        "This is a refund, invoice, shipment, draft, checkout or the like, and not an order.",
        "Nothing to do. If there are many of these, the store sends topics that are not needed.",
    ),
    Reason.TEST_ORDER: ("A test order, or a test notification.", "Nothing to do: the connection works."),
    Reason.DRAFT: ("An order that is not one yet, or is in the bin.", "Nothing to do."),
    Reason.CHILD_ORDER: ("One vendor's part of another order, which is sent whole.", "Nothing to do."),
    Reason.TOO_OLD: ("Created before the date from which this store's orders are sent.", "Nothing to do, or change ignore_orders_before."),
    Reason.UNPAID: ("The shopper is still at the payment page.", "Nothing to do: it is sent by itself once the order is placed."),
    Reason.NEVER_PLACED: (
        "Cancelled or failed before any money stayed.",
        "Nothing to do: it is sent by itself if the order is placed after all.",
    ),
    Reason.NO_EMAIL: (
        "The order carries no usable e-mail address, so Drip could not tell whose it is.",
        "Nothing to do for orders taken at a till. If all orders look like this, the app or webhook lacks access to customer data: "
        "grant it in the store.",
    ),
    Reason.STALE: ("Older than what Drip already has of this order.", "Nothing to do."),
    Reason.UNCHANGED: ("Drip already has exactly this.", "Nothing to do. If Drip lost it, send it again though nothing changed."),
    Reason.SUPERSEDED: ("A newer state of the order was sent in its place.", "Nothing to do."),
    Reason.SPLIT: ("It held several orders, which are now deliveries of their own.", "Look at those: they follow this one."),
    Reason.CATALOG: ("A product, not an order. Its page and picture are noted for the orders to come.", "Nothing to do."),
}
"""Reason -> what it means, and what to do about it."""
OUTCOMES = {
    "delivered": "Drip took it", "retry": "failed; is tried again", "throttled": "Drip asked us to wait",
    "blocked": "Drip refuses the account", "refused": "Drip refused this order",
    "split": "the batch was refused; is sent in parts", "unknown": "no answer; is sent again",
    "no_batches": "no batches there; is sent alone",
}  # fmt: skip
_NONE = "\N{EN DASH}"
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def sentence(reason: str) -> str:
    """What a reason means."""
    return SENTENCES[Reason(reason)][0]


def advice(reason: str) -> str:
    """What to do about a reason."""
    return SENTENCES[Reason(reason)][1]


def outcome(name: str | None) -> str:
    """How an attempt ended."""
    return OUTCOMES.get(name or "unknown", name or "")


def took(length: timedelta | float | None) -> str:
    """A length of time, in its two largest units."""
    if length is None:
        return _NONE
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.1 else "under 0.1 s"
    left, said = round(seconds), list[str]()
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}")
        if said and (len(said) == 2 or not left):
            break
    return " ".join(said)


def ago(moment: datetime | None) -> Markup | str:
    """How long ago, or ahead, with the time itself for whoever asks."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    amount = _largest(abs(seconds))
    words = "just now" if -1 < seconds < 2 else (f"{amount} ago" if seconds > 0 else f"in {amount}")
    return _time(moment, words)


def when(moment: datetime | None) -> Markup | str:
    """A time, to the second, in UTC."""
    return _time(moment, f"{moment:%Y-%m-%d %H:%M:%S}") if moment else _NONE


def number(value: int | float) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def bounded(value: int, most: int) -> str:
    """A count that goes no further than `most`."""
    return f"{most:,}+" if value > most else f"{value:,}"


def _largest(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "1 s"


def _time(moment: datetime, words: str) -> Markup:
    return Markup('<time datetime="{0}" title="{1} UTC">{2}</time>').format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}", words)


FILTERS: dict[str, Callable[..., Any]] = {
    "sentence": sentence, "advice": advice, "outcome": outcome, "took": took, "ago": ago, "when": when, "number": number,
    "bounded": bounded,
}  # fmt: skip
