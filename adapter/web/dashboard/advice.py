"""What a reason for skipping means and what to do about it, how an attempt ended, and where a product comes from."""

from mappings import ONLY_ID, Reason

MEANINGS = {
    Reason.STORE_ERROR: (
        "The store sent an error message instead of an order.",
        "If the overview says that the store is losing orders, act now: replace its webhooks, as the store's page describes. Otherwise "
        "the order was deleted before its webhook was sent.",
    ),
    Reason.NOT_AN_ORDER: (
        "This is a refund, invoice, shipment, draft, checkout or similar, not an order.",
        "Nothing to do. If you see many of these, remove the topics you don't need from the store's webhooks.",
    ),
    Reason.TEST_ORDER: ("A test order or test notification.", "Nothing to do: the connection works."),
    Reason.DRAFT: ("A draft order, or an order in the trash.", "Nothing to do."),
    Reason.CHILD_ORDER: ("One vendor's part of a larger order; the complete order is sent instead.", "Nothing to do."),
    Reason.TOO_OLD: (
        "Created before the date in this store's ignore_orders_before setting.",
        "Nothing to do. To send older orders, change ignore_orders_before.",
    ),
    Reason.UNPAID: ("The shopper hasn't paid yet.", "Nothing to do: the order is sent automatically once it is placed."),
    Reason.NEVER_PLACED: (
        "Canceled or failed before any payment was kept.",
        "Nothing to do: if the order is placed after all, it is sent automatically.",
    ),
    Reason.NO_EMAIL: (
        "The order has no valid email address, so Drip can't match it to a person.",
        "Nothing to do for orders taken in person or by phone. If every order looks like this, the app or webhook doesn't have access to "
        "customer data: grant it in the store.",
    ),
    Reason.STALE: ("Drip already has a newer version of this order.", "Nothing to do."),
    Reason.UNCHANGED: (
        "Drip already has exactly this version of the order.",
        "Nothing to do. If Drip lost it, retry with “Send even if nothing changed”.",
    ),
    Reason.SUPERSEDED: ("A newer version of the order was sent instead.", "Nothing to do."),
    Reason.SPLIT: ("It contained several orders. Each is now a delivery of its own.", "Look at those deliveries, listed below."),
    Reason.FORGOTTEN: (
        "The shopper was forgotten, and this order is from before. Its data was erased as soon as it arrived.",
        "Nothing to do. Orders that the shopper places from now on are sent.",
    ),
    Reason.CATALOG: ("A product, not an order. Its page and image are saved for future orders.", "Nothing to do."),
}
"""Reason -> what it means, and what to do about it."""
OUTCOMES = {
    "delivered": "accepted by Drip", "retry": "failed, will be retried", "throttled": "rate limited by Drip",
    "blocked": "Drip rejected the account", "refused": "rejected by Drip",
    "split": "batch rejected, resent in smaller batches", "unknown": "no response, will be sent again",
    "no_batches": "batches not available, sent individually",
}  # fmt: skip

PROBLEMS = {
    "store_error": "losing orders", "store_api": "its API fails", "locked": "encryption key missing",
    "waiting": "orders are stuck", "retrying": "being retried", "dead": "dead deliveries",
    "not_configured": "not in the settings",
    "signature_mismatch": "signatures don't match", "signature_missing": "unsigned requests",
    "signature_other_shop": "requests from another shop", "silent": "silent unusually long",
    "sums_differ": "amounts don't add up",
}  # fmt: skip
"""Code of a finding about a store -> what it is called in a table."""


_ONLY_ID = (
    "This webhook contains only the order's ID, and the adapter has no access to the store's API to fetch the order.",
    "Give the store an access token in the settings. The sandbox has no store to ask, so nothing is wrong there.",
)


def meaning(reason: str, detail: str | None = "") -> str:
    """What a reason means; `detail` is the delivery's."""
    return (_ONLY_ID if detail == ONLY_ID else MEANINGS[Reason(reason)])[0]


def advice(reason: str, detail: str | None = "") -> str:
    """What to do about a reason."""
    return (_ONLY_ID if detail == ONLY_ID else MEANINGS[Reason(reason)])[1]


def product_source(name: str) -> str:
    """Where a product's page and image come from; `name` is as stored with the attempt."""
    return {"not asked": "not looked up", "not found": "not found"}.get(name, f"from {name}")


def outcome(name: str | None) -> str:
    """How an attempt ended."""
    return OUTCOMES.get(name or "unknown", name or "")
