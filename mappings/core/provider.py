"""What a provider is, and the way of every payload through it: found, loaded, weighed, built.

    document --find--> the order's payload --schema--> loaded --skips/identify--> Reading --build--> Order

A provider is one frozen value, complete at import. Everything here is pure: no I/O, no clock, no environment.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from marshmallow import ValidationError

from mappings.core.compliance import Compliance, no_compliance
from mappings.core.contract import timestamp
from mappings.core.errors import Rejected, dotted
from mappings.core.fields import MISSING, PayloadSchema
from mappings.core.json import parse
from mappings.core.options import Options
from mappings.core.order import Order
from mappings.core.product import Product
from mappings.core.signature import Scheme
from mappings.core.text import first_email, lookup

Loaded = Mapping[str, Any]


class Reason(StrEnum):
    """Why a delivery is kept but not sent. Of those a mapping gives, the first in this order wins."""

    STORE_ERROR = "store_error"
    NOT_AN_ORDER = "not_an_order"
    TEST_ORDER = "test_order"
    DRAFT = "draft"
    CHILD_ORDER = "child_order"
    TOO_OLD = "too_old"
    UNPAID = "unpaid"
    NEVER_PLACED = "never_placed"
    NO_EMAIL = "no_email"
    # What the adapter finds with what it knows of the order:
    STALE = "stale"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    SPLIT = "split"
    CATALOG = "catalog"


HOLDS = (Reason.UNPAID, Reason.NEVER_PLACED)
"""Reasons that hold only until a snapshot of the order is placed; then the delivery is weighed again."""
_NEVER_AN_ORDER = (Reason.STORE_ERROR, Reason.NOT_AN_ORDER, Reason.TEST_ORDER, Reason.DRAFT, Reason.CHILD_ORDER)
_PRECEDENCE = {reason: rank for rank, reason in enumerate(Reason)}


@dataclass(frozen=True, slots=True)
class Skip:
    """A reason not to send, and a sentence for people. The sentence never holds personal data."""

    reason: Reason
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What came with a payload, and the options of the store it came from."""

    topic: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names. None of these platforms signs its headers: take nothing that matters from them alone."""
    received_at: datetime
    options: Options = Options()


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What is read of a snapshot before it is mapped.

    Two snapshots of one order compare by `updated_at`, then by `progress`, the provider's rank of how far the order has come
    (refunded sum, shipped count, status), then by arrival.
    """

    order_id: str
    order_number: str = ""
    """The number that the shopper and the merchant know, as printed; blank if there is none."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    progress: tuple[Decimal, ...] = ()
    email: str = ""
    email_withheld: bool = False
    """The payload has no place for an address at all, as when an app lacks access to customer data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One payload, read: who it is of, and whether anything speaks against sending it."""

    identity: Identity | None
    skips: tuple[Skip, ...]
    loaded: Loaded
    payload: Any
    problems: Mapping[str, list[str]]

    @property
    def placed(self) -> bool:
        """Whether this snapshot shows an order that was really placed."""
        return self.identity is not None and not any(skip.reason in (*HOLDS, *_NEVER_AN_ORDER) for skip in self.skips)

    def skip(self, *, placed: bool) -> Skip | None:
        """The first reason not to send; `placed` tells that some snapshot of this order was placed."""
        return next((skip for skip in self.skips if not (placed and skip.reason in HOLDS)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What makes two deliveries the same, and whether for ever or for 48 hours."""

    value: str
    expires: bool


def body_key(headers: Mapping[str, str], payload: bytes) -> Key:
    """The hash of the body: the same body within 48 hours is the same delivery."""
    return Key(value=hashlib.sha256(payload).hexdigest(), expires=True)


def no_handshake(headers: Mapping[str, str], payload: bytes) -> bool:
    """Most providers greet nobody."""
    return False


def receipt_only(headers: Mapping[str, str], payload: bytes, receipt: Mapping[str, str]) -> Mapping[str, str]:
    """Most providers read nothing but the status of an answer."""
    return receipt


def no_products(document: Any, context: "Context") -> Sequence[Product]:
    """Most payloads describe no product."""
    return ()


def whole(document: Any) -> Sequence[Any] | None:
    """Most payloads hold one order."""
    return None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A store platform: how its requests are proved, and how its payloads become orders."""

    name: str
    title: str
    """As its makers write it, for people."""
    schemes: Mapping[str, Scheme]
    """Ways to prove a request, by the name that the store setting `auth` takes; the first is the default."""
    topic_headers: Sequence[str]
    kept_headers: Sequence[str] = ()
    """Headers kept with a delivery beside the topic's; never one that carries a secret."""
    key: Callable[[Mapping[str, str], bytes], Key] = body_key
    is_ping: Callable[[Mapping[str, str], bytes], bool] = no_handshake
    """Whether a request is the platform's unsigned greeting, to be answered 200 without a trace."""
    echoes_challenge: bool = False
    """Whether the platform expects `GET ?challenge=` echoed."""
    acknowledgement: Callable[[Mapping[str, str], bytes, Mapping[str, str]], Mapping[str, str]] = receipt_only
    """The 200 answer, made from our receipt, for a platform that reads it."""
    needs_address: bool = False
    """Whether the store's address must be in the settings, since no payload holds it."""
    id_path: str = "id"
    """Where a payload is expected to hold its order's id; named when it has none."""
    split: Callable[[Any], Sequence[Any] | None] = whole
    """The orders' documents of a body that holds several; None for a body that holds one."""
    find: Callable[[Any, Context], Any]
    """The order's own payload inside a document's envelope, or the `Skip` that it is none."""
    schema: PayloadSchema
    skips: Callable[[Loaded, Context], Iterable[Skip]]
    """The provider's own reasons not to send a loaded order. `loaded` may lack what could not be read."""
    identify: Callable[[Loaded, Context], Identity | None]
    """Who a loaded payload is of; None without an id. `loaded` may lack what could not be read."""
    build: Callable[[Loaded, Context], Order]
    products: Callable[[Any, Context], Sequence[Product]] = no_products
    """What a product webhook tells; a document that is skipped as `catalog`. Never raises for what stores really send."""
    compliance: Callable[[Any, Context], Compliance | None] = no_compliance
    """What a document asks to be done with personal data; None for all that asks nothing."""

    def scheme(self, auth: str = "") -> Scheme:
        """The way to prove a request that a store's setting `auth` names."""
        return self.schemes[auth or next(iter(self.schemes))]

    def topic(self, headers: Mapping[str, str]) -> str:
        """The provider's name for what happened; "" where the request does not say."""
        return next((headers[name].strip() for name in self.topic_headers if headers.get(name)), "")

    def read(self, document: Any, context: Context) -> Reading:
        """Find and load the order in a document, and weigh it."""
        payload = self.find(document, context)
        if isinstance(payload, Skip):
            return Reading(identity=None, skips=(payload,), loaded={}, payload=document, problems={})
        loaded, problems = _load(self.schema, payload)
        identity = self.identify(loaded, context)
        if identity is None and not problems:
            problems = {self.id_path: [MISSING]}
        if identity is not None and context.options.person_id and (value := lookup(payload, context.options.person_id)):
            person_id = str(value)
        else:
            person_id = ""
        skips = [*self.skips(loaded, context), *_common_skips(identity, person_id, context)]
        return Reading(
            identity=identity,
            skips=tuple(sorted(skips, key=lambda skip: _PRECEDENCE[skip.reason])),
            loaded={**loaded, "person_id": person_id},
            payload=payload,
            problems=problems,
        )

    def readings(self, payload: bytes, context: Context) -> list[Reading]:
        """All that one payload holds, for those who keep nothing in between; raises `Rejected` for what is not JSON."""
        document = parse(payload)
        several = self.split(document)
        return [self.read(each, context) for each in ([document] if several is None else several)]

    def map(self, reading: Reading, context: Context) -> Order:
        """The order of a reading, as it stands now.

        Raises `Rejected` if the payload lacks what an order cannot be without.
        """
        if reading.problems:
            raise Rejected(reading.problems)
        order = self.build(reading.loaded, context)
        added = {
            name: value for name, path in context.options.custom_attributes.items() if (value := lookup(reading.payload, path)) is not None
        }
        return replace(order, person_id=reading.loaded["person_id"], attributes={**order.attributes, **added})


def _load(schema: PayloadSchema, payload: Any) -> tuple[Loaded, dict[str, list[str]]]:
    try:
        return schema.load(payload), {}
    except ValidationError as error:
        loaded = error.valid_data if isinstance(error.valid_data, dict) else {}
        return loaded, dotted(error.messages)


def _common_skips(identity: Identity | None, person_id: str, context: Context) -> Iterable[Skip]:
    if identity is None:
        return
    oldest = context.options.ignore_orders_before
    if oldest is not None and identity.created_at is not None and identity.created_at < oldest:
        yield Skip(Reason.TOO_OLD, f"created before {timestamp(oldest)}, the store's ignore_orders_before")
    if not first_email(identity.email) and not person_id:
        yield Skip(
            Reason.NO_EMAIL,
            "the payload has no e-mail field at all: the app or webhook lacks access to customer data"
            if identity.email_withheld
            else "the order carries no usable e-mail address",
        )
