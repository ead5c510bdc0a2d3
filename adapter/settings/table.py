"""The table of a store in STORES: its options, and what each may be."""

import re
from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from adapter.settings.checks import (
    check_consent,
    check_not_blank,
    check_public_key,
    check_secret,
    check_short_secret,
    check_template,
    check_token,
    check_url,
)
from mappings import DRIP_ORDER_NAMES, PROVIDERS

_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What each kind of authentication is verified with; all others with the secret.
NEEDED_BY_AUTH = {"basic": ("secret", "username"), "adobe_io": ("adobe_client_id",), "adobe_webhook": ("public_key",)}
# Each is useless without the other.
_PAIRS = (("client_id", "client_secret"), ("consumer_key", "consumer_secret"), ("access_token_secret", "access_token"))


def _one_of(choices: Sequence[str]) -> validate.OneOf:
    return validate.OneOf(choices, error="isn't one of {choices}")


class _Text(fields.String):
    """A string in TOML; a number is one whose quotes were forgotten."""

    default_error_messages = {"invalid": "isn't a string; put it in quotes", "required": "missing"}  # noqa: RUF012 - marshmallow's way


class StoreTable(Schema):
    """A table `[stores.NAME]` of STORES."""

    class Meta:
        unknown = EXCLUDE  # refused by `check_options`, which suggests the option that was meant

    def __init__(self, *, maybe_sandbox: bool = False, only: Set[str] | None = None) -> None:
        super().__init__(only=only)
        if maybe_sandbox:
            for name in {"secret", "secret_previous"} & set(self.fields):
                self.fields[name].validators = [check_short_secret]

    provider = _Text(required=True, validate=_one_of(sorted(PROVIDERS)))
    secret = _Text(validate=check_secret)
    secret_previous = _Text(validate=check_secret)
    auth = _Text()
    signature_header = _Text(validate=validate.Regexp(r"[A-Za-z0-9-]+\Z", error="isn't the name of a header"))
    username = _Text(validate=check_not_blank)
    adobe_client_id = _Text(validate=check_not_blank)
    public_key = _Text(validate=check_public_key)
    aliases = fields.List(_Text())
    drip_account_id = _Text()
    drip_api_key = _Text()
    drip_access_token = _Text()
    drip_provider = _Text(validate=validate.Regexp(_SNAKE.pattern + r"\Z", error="isn't in lower snake case, such as my_store"))
    store_url = fields.Raw()
    person_id = _Text()
    order_id = _Text(validate=_one_of(["entity_id", "increment_id"]))
    currency = _Text(validate=_one_of(["shop", "presentment"]))
    order_url_template = _Text(validate=check_template)
    placeholder_image = _Text(validate=check_url)
    custom_attributes = fields.Dict(keys=_Text(), values=_Text())
    fee_keys = fields.List(_Text())
    forward_test_orders = fields.Boolean()
    forward_child_orders = fields.Boolean()
    forward_unpaid = fields.Boolean()
    ignore_orders_before = fields.Raw()
    consent = _Text(validate=check_consent)
    vocabulary = _Text(validate=_one_of(["contract", "lifecycle"]))
    api_url = _Text(validate=check_url)
    api_version = _Text(validate=validate.Regexp(r"\d{4}-\d{2}\Z", error="isn't a version of Shopify's API, such as 2026-10"))
    access_token = _Text(validate=check_token)
    access_token_secret = _Text(validate=check_token)
    client_id = _Text(validate=check_token)
    client_secret = _Text(validate=check_token)
    consumer_key = _Text(validate=check_token)
    consumer_secret = _Text(validate=check_token)
    look_up_products = fields.Boolean()
    media_url = _Text(validate=check_url)
    url_suffix = _Text()
    brand_attribute = _Text()
    store_codes = fields.Dict(keys=_Text(), values=_Text())

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_options(self, table: dict[str, Any], original: dict[str, Any], **kwargs: Any) -> None:
        if unknown := sorted(set(original) - set(self.declared_fields)):
            raise ValidationError({name: [self._unknown(name)] for name in unknown})

    def _unknown(self, name: str) -> str:
        meant = get_close_matches(name.lower(), self.declared_fields, n=1)
        return f"unknown option; did you mean `{meant[0]}`?" if meant else "unknown option; docs/settings.md lists all of them"

    @validates_schema
    def check_pairs(self, table: dict[str, Any], **kwargs: Any) -> None:
        for one, other in _PAIRS:
            for name, beside in ((one, other), (other, one)):
                alone = table.get(beside) and not table.get(name)
                if alone and not (beside == "access_token"):  # a token may do without its secret
                    raise ValidationError(f"missing, while {beside} is set", name)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def check_auth(self, table: dict[str, Any], given: dict[str, Any], **kwargs: Any) -> None:
        if table.get("provider") not in PROVIDERS:
            return
        schemes = PROVIDERS[table["provider"]].schemes
        if table.get("auth", next(iter(schemes))) not in schemes:
            raise ValidationError(f"isn't one of {', '.join(schemes)}", "auth")
        auth = table.get("auth", "")
        needed = NEEDED_BY_AUTH.get(auth, ("secret",))
        # What is blank is refused by its own check, if it has one.
        if missing := [name for name in needed if not given.get(name) and not (name in given and self.fields[name].validators)]:
            raise ValidationError({name: [f'missing, while auth is "{auth}"' if auth else "missing"] for name in missing})

    @validates_schema
    def check_names(self, table: dict[str, Any], **kwargs: Any) -> None:
        if taken := sorted(DRIP_ORDER_NAMES & set(table.get("custom_attributes", {}))):
            raise ValidationError(f"can't be named {', '.join(taken)}, which Drip uses already; choose another name", "custom_attributes")


def load_table(table: Mapping[str, Any], *, maybe_sandbox: bool) -> dict[str, Any]:
    """The options of a table; raises `ValidationError`.

    Only the options that are set are looked at: of forty a store sets five, and there may be a thousand stores.
    """
    used = frozenset(table.keys() & StoreTable._declared_fields.keys()) | {"provider"}
    loaded: dict[str, Any] = _schema(used, maybe_sandbox=maybe_sandbox).load(table)
    return loaded


@cache
def _schema(used: frozenset[str], *, maybe_sandbox: bool) -> StoreTable:
    """Making a schema takes longer than reading a table with it, and most stores set the same options."""
    return StoreTable(maybe_sandbox=maybe_sandbox, only=used)
