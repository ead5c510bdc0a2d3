"""A store platform as one value, and the path that each of its payloads takes:

    document --find--> the order's payload --schema--> loaded --skips, identify--> Reading --build--> Order

A `Provider` is frozen and complete at import. Everything here is pure: no I/O, no clock, no environment.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError
from msgspec.structs import replace

from mappings.core.compliance import Compliance, no_compliance
from mappings.core.consent import is_path, opted_in
from mappings.core.errors import Rejected, dotted, first
from mappings.core.fees import with_named_fees
from mappings.core.fields import MISSING, PayloadSchema
from mappings.core.json import parse
from mappings.core.order import Order
from mappings.core.product import Product
from mappings.core.reading import Context, Identity, Loaded, Reading, Reason, Skip
from mappings.core.rendering import timestamp
from mappings.core.signature import Scheme
from mappings.core.text import first_email, lookup


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What makes two deliveries the same. A blank one equals no other."""

    value: str
    expires: bool
    """Whether it is of the body alone, and so stops counting once the order can have returned to the state in it."""
    sent_as: str = ""
    """The platform's own ID of a webhook, among the headers that are kept, which only a repetition by the platform itself shares; "" where
    there is none."""


def body_key(headers: Mapping[str, str], payload: bytes) -> Key:
    """The hash of the body: the same body is the same delivery."""
    return Key(value=hashlib.sha256(payload).hexdigest(), expires=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The shop that a request names as its origin."""

    address: str
    """A host, or an address with or without a path."""
    suffix: str = ""
    """If every shop has exactly one such address: its end, as in `.myshopify.com`. A shop may have several others."""


def no_origin(headers: Mapping[str, str], payload: bytes) -> Iterable[Origin]:
    """Most platforms don't say which shop a request comes from."""
    return ()


def no_ping(headers: Mapping[str, str], payload: bytes) -> bool:
    """Most platforms send no ping."""
    return False


def receipt_only(headers: Mapping[str, str], payload: bytes, receipt: Mapping[str, str]) -> Mapping[str, str]:
    """Most platforms look only at the status of our response."""
    return receipt


def no_products(document: Any, context: Context) -> Sequence[Product]:
    """Most payloads describe no product."""
    return ()


def no_trash(document: Any, context: Context) -> str:
    """Most platforms have no trash for orders."""
    return ""


def no_number(loaded: Loaded) -> str:
    """Most orders have no number beside their id."""
    return ""


def unchanged(order: Any) -> Any:
    """Most platforms have no trash for orders."""
    return order


def whole(document: Any) -> Sequence[Any] | None:
    """Most payloads hold one order."""
    return None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A store platform: how to verify its requests, and how to turn its payloads into orders."""

    name: str
    title: str
    """The platform's name as its makers write it."""
    schemes: Mapping[str, Scheme]
    """Ways to verify a request, by the value of the store setting `auth`; the first is the default."""
    topic_headers: Sequence[str]
    kept_headers: Sequence[str] = ()
    """Headers to keep with a delivery, besides the topic's; never one that carries a secret."""
    key: Callable[[Mapping[str, str], bytes], Key] = body_key
    origins: Callable[[Mapping[str, str], bytes], Iterable[Origin]] = no_origin
    """The shop that a verified request names, in a header or in its body."""
    is_ping: Callable[[Mapping[str, str], bytes], bool] = no_ping
    """Whether a request is the platform's unsigned test ping, which gets a 200 and is not kept."""
    echoes_challenge: bool = False
    """Whether the platform expects `GET ?challenge=` to be echoed."""
    acknowledgement: Callable[[Mapping[str, str], bytes, Mapping[str, str]], Mapping[str, str]] = receipt_only
    """The body of the 200 response, made from our receipt, for a platform that reads it."""
    needs_address: bool = False
    """Whether the settings must give the store's address, because no payload contains it."""
    api_settings: Sequence[str] = ()
    """The store options with credentials for the platform's API, which can be set as variables too: `access_token` is ACME_ACCESS_TOKEN."""
    needs_api: bool = False
    """Whether `api_settings` must be set, because a webhook contains no more than an order's id."""
    has_unique_ids: bool = False
    """Whether no two shops of the platform have an order id in common."""
    reports_consent: bool = False
    """Whether an order's payload contains the shopper's opt-in to marketing."""
    id_path: str = "id"
    """The path of the order's id, named in the problem when a payload has none."""
    split: Callable[[Any], Sequence[Any] | None] = whole
    """The documents of a body that holds several orders; None for a body that holds one."""
    find: Callable[[Any, Context], Any]
    """The order's own payload, taken out of its envelope, or a `Skip` where the document is not an order.

    Raises `Rejected` for an order in a format that can't be mapped.
    """
    schema: PayloadSchema
    skips: Callable[[Loaded, Context], Iterable[Skip]]
    """The platform's own reasons not to send a loaded order. `loaded` lacks the fields that could not be read."""
    identify: Callable[[Loaded, Context], Identity | None]
    """Which order a loaded payload shows; None without an id. `loaded` lacks the fields that could not be read."""
    build: Callable[[Loaded, Context], Order]
    number: Callable[[Loaded], str] = no_number
    """The order's number, as printed, where it can be read without the id; people find an order by it that can't be mapped."""
    products: Callable[[Any, Context], Sequence[Product]] = no_products
    """The products in a document that is skipped as `catalog`. Never raises for what stores really send."""
    compliance: Callable[[Any, Context], Compliance | None] = no_compliance
    """The personal-data request in a document; None where it makes none."""

    in_trash: Callable[[Any, Context], str] = no_trash
    """The id of the order that a document reports to be in the trash, without its data; "" for any other document."""
    trashed: Callable[[Any], Any] = unchanged
    """An order's last payload as it would be in the trash."""

    def scheme(self, auth: str = "") -> Scheme:
        """The verification scheme that a store's setting `auth` names."""
        return self.schemes[auth or next(iter(self.schemes))]

    def topic(self, headers: Mapping[str, str]) -> str:
        """The platform's name for what happened; "" where the request does not contain one."""
        return next((headers[name].strip() for name in self.topic_headers if headers.get(name)), "")

    def orders(self, document: Any, context: Context) -> Sequence[Any] | None:
        """The documents of a body that holds several orders; None for a body that holds one. Raises `Rejected` if it holds too many."""
        several = self.split(document)
        if several is not None:
            context.options.limits.check_orders(several)
        return several

    def read(self, document: Any, context: Context) -> Reading:
        """Find and load the order in a document, and collect the reasons not to send it."""
        try:
            payload = self.find(document, context)
        except Rejected as rejected:
            return Reading(identity=None, skips=(), loaded={}, payload=document, problems=rejected.problems)
        if isinstance(payload, Skip):
            return Reading(identity=None, skips=(payload,), loaded={}, payload=document, problems={})
        try:
            context.options.limits.check_order(payload)
        except Rejected as rejected:
            return self._without(rejected.problems, payload, context)
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
            skips=tuple(sorted(skips, key=lambda skip: skip.rank)),
            loaded={**loaded, "person_id": person_id},
            payload=payload,
            problems=problems,
            number=self.number(loaded),
        )

    def _without(self, problems: Mapping[str, list[str]], payload: Mapping[str, Any], context: Context) -> Reading:
        """An order of which these lists are too long: only which one it is."""
        loaded, _ = _load(self.schema, {name: value for name, value in payload.items() if name not in problems})
        identity = self.identify(loaded, context)
        return Reading(identity=identity, skips=(), loaded={}, payload=payload, problems=problems, number=self.number(loaded))

    def readings(self, payload: bytes, context: Context) -> list[Reading]:
        """Every order in one payload, for callers that keep nothing in between; raises `Rejected` if it is not JSON."""
        document = parse(payload, context.options.limits.nesting)
        several = self.orders(document, context)
        return [self.read(each, context) for each in ([document] if several is None else several)]

    def map(self, reading: Reading, context: Context) -> Order:
        """The order of a reading, as it stands now.

        Raises `Rejected` if the payload lacks what an order needs.
        """
        if reading.problems:
            raise Rejected(reading.problems)
        order = with_named_fees(self.build(reading.loaded, context), reading.payload, context.options.fee_keys)
        added = {
            name: value for name, path in context.options.custom_attributes.items() if (value := lookup(reading.payload, path)) is not None
        }
        consent = context.options.consent
        accepts = opted_in(reading.payload, consent) if is_path(consent) else order.accepts_marketing
        return replace(order, person_id=reading.loaded["person_id"], accepts_marketing=accepts, attributes={**order.attributes, **added})


def _load(schema: PayloadSchema, payload: Any) -> tuple[Loaded, dict[str, list[str]]]:
    try:
        return schema.load(payload), {}
    except ValidationError as error:
        loaded = error.valid_data if isinstance(error.valid_data, dict) else {}
        return loaded, first(dotted(error.messages))


def _common_skips(identity: Identity | None, person_id: str, context: Context) -> Iterable[Skip]:
    if identity is None:
        return
    oldest = context.options.ignore_orders_before
    if oldest is not None and identity.created_at is not None and identity.created_at < oldest:
        yield Skip(Reason.TOO_OLD, f"created before {timestamp(oldest)}, the store's ignore_orders_before")
    if not first_email(identity.email) and not person_id:
        yield Skip(
            Reason.NO_EMAIL,
            "the payload has no email field at all: the app or webhook has no access to customer data"
            if identity.email_withheld
            else "the order contains no usable email address",
        )
