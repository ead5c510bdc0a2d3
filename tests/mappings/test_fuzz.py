"""Whole payloads, bent in every field: each ends as a body that keeps the contract and adds up, as skipped, or as rejected with a reason.

`make fuzz` runs the same with FUZZ_EXAMPLES examples in each test, each of which ends after a tenth of FUZZ_SECONDS.
"""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, Credentials, KeyAway, Options, OrderActivity, Rejected, Verdict, encode, outcomes, parse
from mappings.core.fields import Text
from mappings.core.reading import Reason
from tests.support.payloads import Bend, BentPayload, bases, bent, shapes

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "inf")) / 10
RECEIVED_AT = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
TOPICS = {"shopify": "orders/updated", "woocommerce": "order.updated"}
REASONS = frozenset(Reason)
_CONTRACT = OrderActivity()


def try_all(usual: int, work: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
    """So many examples, or as many as `make fuzz` asks for, in rounds until the time is over; a busy machine must not fail them."""
    phases = [phase for phase in Phase if phase is not Phase.explain]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    left, ends = EXAMPLES or usual, time.monotonic() + SECONDS
    while left > 0 and time.monotonic() < ends:
        some = settings(max_examples=min(left, 500), deadline=None, phases=phases, suppress_health_check=checks, database=None)
        some(given(*strategies)(work))()
        left -= 500
    if EXAMPLES:
        print(f"\n{EXAMPLES - max(0, left):,} examples", end=" ")


def context(provider: str, vocabulary: Any) -> Context:
    options = Options(
        store_url="https://shop.example",
        public_url="https://adapter.example",
        vocabulary=vocabulary,
        custom_attributes={"extra": "note"},
        fee_keys=("fee", "extension_attributes.fee"),
    )
    return Context(topic=TOPICS.get(provider, ""), received_at=RECEIVED_AT, options=options)


def check(provider: str, payload: bytes) -> list[dict[str, Any]]:
    """What each order in a payload becomes in the contract's vocabulary, once that is found to be in order in both."""
    found = mapped(provider, payload, "contract")
    for body, lifecycle in zip(found, mapped(provider, payload, "lifecycle"), strict=True):
        if "items" in body and "items" in lifecycle:
            totals_add_up(body, lifecycle)
    return found


def mapped(provider: str, payload: bytes, vocabulary: Any) -> list[dict[str, Any]]:
    begun = time.process_time()
    found = outcomes(PROVIDERS[provider], payload, context(provider, vocabulary))
    assert time.process_time() - begun < 1
    for outcome in found:
        if "rejected" in outcome:
            assert outcome["rejected"]
            assert all(reasons and all(reasons) for reasons in outcome["rejected"].values())
        elif "skipped" in outcome:
            assert outcome["skipped"] in REASONS
        else:
            assert _CONTRACT.validate(outcome) == {}
            assert parse(encode(outcome)) == json.loads(encode(outcome), parse_float=Decimal)
            items_add_up(outcome)
    return found


def items_add_up(body: dict[str, Any]) -> None:
    """Each item's total is its price times its quantity less its discounts, to the rounding of a unit's price and of a cent."""
    assert body["item_count"] == sum(item["quantity"] for item in body["items"])
    assert body.get("item_names", []) == [item["name"] for item in body["items"]]
    for item in body["items"]:
        assert item["discount"] == item["discounts"]
        if item["quantity"]:
            total = item["price"] * item["quantity"] - item["discounts"]
            unit = Decimal("0.005") * abs(item["quantity"])
            assert abs(total - item["total"]) <= Decimal("0.01") + unit, item
            if "sale_price" in item:
                assert abs(item["sale_price"] * item["quantity"] - max(Decimal(0), item["total"])) <= Decimal("0.01") + unit, item


def totals_add_up(body: dict[str, Any], lifecycle: dict[str, Any]) -> None:
    """What is left, with what was refunded, is what was ordered; no refund raises a total."""
    refunded, left, ordered = body.get("refunded_total", Decimal(0)), body["grand_total"], lifecycle["grand_total"]
    assert left >= 0
    assert refunded >= 0
    assert ordered >= left + refunded
    if body["provider"] != "shopify":  # where a line that was added later raises it
        assert left <= max(0, body.get("original_total", left))
    assert body["items"] == lifecycle["items"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_whole_payload_is_sent_in_every_shape(provider: str) -> None:
    for document in shapes(provider).values():
        [outcome] = check(provider, encode(document))
        assert outcome.get("order_id"), outcome
        assert len(outcome["items"]) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_bends_reach_every_field(provider: str) -> None:
    """A payload bent in all of its places at once still reads as JSON, and differs everywhere."""
    base = bases(provider)[0]
    for path in base.places:
        bend = BentPayload(base, ((base.places.index(path), Bend("replace", '"bent"')),))
        node = json.loads(bend.payload)
        for step in path:
            node = node[step]
        assert node == "bent"


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bent_payload_ends_in_order(provider: str) -> None:
    def run(bent_payload: BentPayload) -> None:
        check(provider, bent_payload.payload)

    try_all(750, run, bent(provider))


def _reversed(node: Any) -> Any:
    """The same document with the keys of every object in the other order."""
    if isinstance(node, dict):
        return {key: _reversed(node[key]) for key in reversed(node)}
    return [_reversed(child) for child in node] if isinstance(node, list) else node


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_outcome_is_the_same_again_and_in_any_order_of_keys(provider: str) -> None:
    def run(bent_payload: BentPayload) -> None:
        base = bent_payload.base
        turned = replace(bent_payload, base=replace(base, text=json.dumps(_reversed(json.loads(base.text)))))
        first, again, other = (
            outcomes(PROVIDERS[provider], each.payload, context(provider, "contract")) for each in (bent_payload, bent_payload, turned)
        )
        assert first == again
        assert reasons(first) == reasons(other)

    def reasons(found: list[dict[str, Any]]) -> list[Any]:
        # Where an object takes the place of a list, a line's number follows the order of its keys.
        paths = [sorted(re.sub(r"\d+", "N", path) for path in each.get("rejected", ())) for each in found]
        return [each.get("skipped") or path or each["grand_total"] for each, path in zip(found, paths, strict=True)]

    try_all(60, run, bent(provider))


_JSON_BYTES = b'[]{}",:\\u0d8eE-+.19 \xef\xbb\xbf\x00\xff'
_BYTES = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([*_JSON_BYTES]), max_size=80).map(bytes))


@pytest.mark.slow
def test_any_bytes_are_read_as_json_or_rejected() -> None:
    def run(payload: bytes) -> None:
        target(float(len(payload)))
        try:
            document = parse(payload)
        except Rejected:
            return
        assert parse(encode(document)) == document or b"e" in payload.lower()

    try_all(100, run, _BYTES)


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "scheme"), [(name, each) for name, provider in PROVIDERS.items() for each in provider.schemes])
def test_no_header_and_no_bytes_are_genuine_or_a_fault(provider: str, scheme: str) -> None:
    def no_key(path: str) -> bytes:
        assert path.startswith("/prod/keys/")
        assert ".." not in path
        raise KeyAway

    names = [name.lower() for name in PROVIDERS[provider].schemes[scheme].headers]
    names += [f"x-adobe-public-key{number}-path" for number in (1, 2)] + ["webhook-id", "webhook-timestamp", "authorization"]
    values = st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=40),
        st.sampled_from(["/prod/keys/../../x.pem", "/prod/keys/a.pem@b.example/x.pem", "/prod/keys/a.pem", "sha256=", "v1,", "Basic "]),
    )
    credentials = Credentials(secrets=("a-secret-of-this-test",), username="u", client_id="c", public_key="no key", fetch_key=no_key)

    def run(headers: dict[str, str], payload: bytes) -> None:
        assert PROVIDERS[provider].schemes[scheme].verify(headers, payload, credentials) is not Verdict.GENUINE

    try_all(8, run, st.dictionaries(st.sampled_from(names), values, max_size=4), _BYTES)


@pytest.mark.slow
def test_any_value_is_a_text_without_spaces_around_it() -> None:
    def run(value: Any) -> None:
        text = Text().deserialize(value)
        assert isinstance(text, str)
        assert text == text.strip()

    scalars = st.one_of(st.text(max_size=50), st.integers(), st.decimals(), st.none(), st.booleans())
    try_all(50, run, scalars | st.lists(st.integers(), max_size=2))
