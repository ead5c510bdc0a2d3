"""The tables: the one declaration of their columns and constraints. The migrations in `migrations/` build the same schema.

A delivery has exactly these states:

    pending ──────► delivered      Drip answered 2xx
       │  ▲  └────► skipped        with a reason; `unpaid` and `never_placed` return to pending when the order is placed
       │  └──┐
       └────►dead                  with problems; pending again when retried, or when the store sends a copy

A pending delivery is unread (`read_at` is null) until the reader has found its order and version.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from adapter.inbox.packing import PackedBytes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

LIVE, RETRY, BACKFILL = 0, 1, 2
"""Priorities: live deliveries go before requested retries, and those before backfill."""


class Instant(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since 1970 in UTC, which both databases compare and add alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite assigns ids automatically only in a column declared INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("store", Text, nullable=False),
    Column("key", Text, nullable=False, comment="idempotency key; unique within a store"),
    Column("topic", Text, nullable=False),
    Column("headers", Text, nullable=False, comment="JSON of the few headers that a mapping may need"),
    Column("payload", PackedBytes, comment="the body as received; null once erased"),
    Column("received_at", Instant, nullable=False),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("parent_id", _Id, comment="the delivery that this one was split from"),
    Column("read_at", Instant, comment="when the reader found order and version; null: unread"),
    Column("account", Text, comment="the Drip account that it is to go to; null: unread, not an order, or its store has no account"),
    Column("order_id", Text),
    Column("snapshot_at", Instant, comment="the store's own time of the snapshot; null: none that can be trusted"),
    Column("progress", Text, comment="JSON list of numbers: the provider's rank of progress"),
    Column("placed", Boolean, comment="whether the snapshot shows an order that was really placed"),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("reason", Text, comment="why it was skipped"),
    Column("detail", Text, comment="the reason in a sentence; no personal data"),
    Column("problems", Text, comment="JSON: why it is dead, by path"),
    Column("starts", Integer, nullable=False, server_default=text("0"), comment="how often work on it was started and not finished"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="requests it has been part of"),
    Column("failed", Integer, nullable=False, server_default=text("0"), comment="failed attempts that count towards giving up"),
    Column("forced", Boolean, nullable=False, server_default=false(), comment="send even if nothing changed"),
    Column("most_together", Integer, comment="the largest batch it may be part of, since a larger one failed; null: any"),
    Column("due_at", Instant, nullable=False, comment="when the next attempt is due"),
    Column("settled_at", Instant),
    Column("order_number", Text, comment="as the shopper sees it, without #; for searching"),
    Column("email_digest", Text, comment="of the shopper's address in lower case, for searching; null once erased"),
    Column("copied_at", Instant, comment="when its newest copy arrived; null: none, or it was kept as a delivery"),
    Column("problems_before", Text, comment="why it was dead before it was retried"),
    UniqueConstraint("store", "key"),
    CheckConstraint("state IN ('pending', 'delivered', 'skipped', 'dead')", name="ck_deliveries_state"),
    CheckConstraint("(state = 'skipped') = (reason IS NOT NULL)", name="ck_deliveries_reason"),
    CheckConstraint("(state = 'dead') = (problems IS NOT NULL)", name="ck_deliveries_problems"),
    comment="One authentic inbound request each: record and queue entry. States: pending -> delivered, skipped or dead; "
    "skipped as unpaid or never_placed -> pending when the order is placed; dead -> pending when retried or sent again.",
    sqlite_autoincrement=True,  # an id also gives the order of arrival, so it must not be reused after a purge
)

orders = Table(
    "orders",
    metadata,
    Column("account", Text, primary_key=True),
    Column("store", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("snapshot_at", Instant, comment="with progress and delivery_id: the version that Drip has"),
    Column("progress", Text, nullable=False),
    Column("delivery_id", _Id, nullable=False),
    Column("digest", Text, nullable=False, comment="of the body that Drip has"),
    Column("lifecycle", Text, comment="JSON: the lifecycle events that Drip has; null: sent by a version that did not record them"),
    Column("received_at", Instant, comment="when the snapshot that Drip has arrived here; null: recorded by an earlier version"),
    Column("created_at", Instant, nullable=False, comment="when Drip first had the order"),
    Column("updated_at", Instant, nullable=False),
    comment="What Drip has of each order. Holds no personal data and survives every purge.",
)

requests = Table(
    "requests",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("status", Integer, comment="Drip's HTTP status; null: no answer"),
    CheckConstraint("kind IN ('single', 'batch')", name="ck_requests_kind"),
    comment="Every POST to Drip, committed before it is made: the ledger of the quota.",
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("delivery_id", _Id, ForeignKey("deliveries.id", name="fk_attempts_delivery_id_deliveries", ondelete="CASCADE"), nullable=False),
    Column("request_id", _Id, ForeignKey("requests.id", name="fk_attempts_request_id_requests", ondelete="CASCADE"), nullable=False),
    Column("action", Text, nullable=False),
    Column("body", PackedBytes, comment="as posted; null once erased"),
    Column("digest", Text, nullable=False),
    Column("lifecycle", Text, comment="JSON: the value of `orders.lifecycle` once Drip has accepted it"),
    Column("looked_up", Text, comment="JSON: where each product's page and picture came from"),
    Column("outcome", Text, comment="null: started, and nothing is known of its end"),
    Column("drip_request_id", Text),
    Column("answer", Text, comment="JSON: a summary of the answer, and Drip's errors about this order"),
    comment="A delivery's part in a request to Drip; its body is stored before it is posted.",
)

leases = Table(
    "leases",
    metadata,
    Column("account", Text, primary_key=True),
    Column("holder", Text),
    Column("host", Text),
    Column("pid", Integer),
    Column("expires_at", Instant),
    Column("paused_since", Instant),
    Column("pause_reason", Text, comment="why Drip accepts nothing from this account, in a sentence"),
    Column("probe_at", Instant, comment="when a paused account tries another order"),
    Column("outage_since", Instant, comment="Drip itself seems to be down; null: it is not"),
    Column("outage_probes", Integer, nullable=False, server_default=text("0"), comment="probes failed since then"),
    Column("single_closed_until", Instant, comment="single requests wait until then: Drip answered 429"),
    Column("batch_closed_until", Instant, comment="batches wait until then: 429, or no such address"),
    Column("single_limit", Integer, comment="requests per hour reported by Drip, where lower than the setting"),
    Column("batch_limit", Integer, comment="the same for batches"),
    Column("reading", Text, comment="JSON: the ids of the deliveries that the holder is reading or mapping; null: none"),
    Column("proved_with", Text, comment="a digest of the credentials that Drip has accepted; null: none so far"),
    Column("proof_failed", Text, comment="why Drip has not accepted them, at the last try; null: not tried"),
    Column("proof_since", Instant, comment="when Drip first did not accept them"),
    Column("proof_at", Instant, comment="when they are tried again"),
    Column("resumed_at", Instant, comment="when a person last asked to try this account at once"),
    comment="The right to send for an account, held by one sender at a time, and what stops the account.",
)

refusals = Table(
    "refusals",
    metadata,
    Column("store", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("before_at", Instant, comment="the last refusal before the newest accepted webhook between two"),
    Column("returns", Integer, nullable=False, server_default=text("0"), comment="how often refusals came back like that"),
    comment="Counts of requests whose signature could not be verified; nothing else of them is kept.",
)

holdups = Table(
    "holdups",
    metadata,
    Column("store", Text, primary_key=True),
    Column("reason", Text, primary_key=True, comment="store_api or locked"),
    Column("why", Text, nullable=False, comment="the cause in a sentence; no personal data"),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False, comment="when it is tried again"),
    comment="What kept orders of a store from being read at the last try, apart from Drip.",
)

products = Table(
    "products",
    metadata,
    Column("store", Text, primary_key=True),
    Column("view", Text, primary_key=True, comment="Magento's store view; blank elsewhere"),
    Column("product_id", Text, primary_key=True),
    Column("variant_id", Text, primary_key=True, comment="blank for the product itself"),
    Column("found", Boolean, nullable=False, comment="false: the store has no such product; fetched again sooner"),
    Column("url", Text, nullable=False),
    Column("image_url", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("categories", Text, nullable=False, comment="JSON list"),
    Column("tags", Text, nullable=False, comment="JSON list"),
    Column("source", Text, nullable=False, comment="webhook, or the name of the look-up"),
    Column("fetched_at", Instant, nullable=False),
    comment="The catalog's cache of the stores' products.",
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False, comment="who did it; the dashboard has a single administrator"),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="what it was done to: a delivery's id, or which deliveries"),
    Column("detail", Text, nullable=False, comment="free text; no personal data"),
    comment="Every change made by a person, and every view of personal data.",
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("visitor", Text, primary_key=True, comment="a keyed digest of the visitor's network, or of a browser that has logged in before"),
    Column("times", Integer, nullable=False, comment="failed log-ins in a row"),
    Column("since", Instant, nullable=False, comment="the last one"),
    comment="Log-ins of the last minutes that did not succeed, to limit password guessing.",
)

backfills = Table(
    "backfills",
    metadata,
    Column("store", Text, primary_key=True),
    Column("window", Text, primary_key=True, comment="JSON: which orders were asked for"),
    Column("cursor", Text, comment="where to continue; null: at the start"),
    Column("found", Integer, nullable=False, server_default=text("0"), comment="orders the store has returned so far"),
    Column("kept", Integer, nullable=False, server_default=text("0"), comment="deliveries created from them"),
    Column("begun_at", Instant, nullable=False),
    Column("ended_at", Instant, comment="null: interrupted, or still running"),
    comment="How far each backfill has got, so that it can resume.",
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("labels", Text, primary_key=True, comment="JSON: label -> value, sorted"),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False, comment="which of a counter's rows; their sum is its value"),
    Column("value", BigInteger, nullable=False),
    comment="Totals since the first start, for monitoring; no purge touches them.",
)

hours = Table(
    "hours",
    metadata,
    Column("begun_at", Instant, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True, comment="kept, or the state that deliveries reached"),
    Column("number", BigInteger, nullable=False),
    comment="Deliveries per finished hour of the last month, for the chart.",
)

alerts = Table(
    "alerts",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True, comment="the store or account that is in trouble"),
    Column("since", Instant, nullable=False),
    Column("sent_at", Instant, comment="when the message last went to ALERT_URL; null: not yet"),
    Column("ended_at", Instant, comment="when the trouble ended; the row is deleted once that message is sent"),
    Column("message", Text, nullable=False, comment="what is sent; no personal data"),
    comment="Current troubles, and which of them have been sent to ALERT_URL.",
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("store", Text, primary_key=True),
    Column("compared_at", Instant, nullable=False),
    Column("since", Instant, comment="since when the amounts differ a lot; null: they don't"),
    Column("orders", Integer, nullable=False, comment="how many were compared"),
    Column("differing", Integer, nullable=False, comment="how many of them differ"),
    Column("delivery_id", _Id, comment="the newest that differs"),
    Column("difference", Text, comment="by how much that one differs, in a sentence; no personal data"),
    Column("advice", Text, comment="what to do about it"),
    comment="Whether the amounts of each store's newest orders add up to their totals, where any did not so far.",
)

public_address = Table(
    "public_address",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, comment="always 1"),
    Column("address", Text, nullable=False),
    Column("learned_at", Instant, nullable=False),
    comment="The address that stores post their webhooks to, learned from genuine ones; used where PUBLIC_URL is not set.",
)

keys = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    comment="Random keys of this database, each made when it is first needed.",
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("digest", Text, primary_key=True, comment="keyed, of a shopper's address, and of the store that forgot it"),
    Column("at", Instant, nullable=False, comment="when: orders created before must not come back"),
    comment="Shoppers who were forgotten. Survives every purge.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True, comment="keyed, of the session's id"),
    Column("password", Text, nullable=False, comment="a keyed digest of the password it was opened with"),
    Column("begun_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False),
    comment="Who is logged in to the dashboard. Logging out deletes the row.",
)
