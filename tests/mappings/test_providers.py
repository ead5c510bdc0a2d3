"""The requirements for every provider, run once for each: they apply to a new folder in `mappings/` and `fixtures/` automatically."""

import ast
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields
from sqlalchemy import Engine

import mappings
from adapter.inbox import search
from adapter.inbox.database import snapshot
from adapter.settings import Settings
from mappings import (
    PROVIDERS,
    Context,
    Credentials,
    Order,
    OrderActivity,
    Provider,
    Reading,
    Reason,
    Rejected,
    Skip,
    Verdict,
    encode,
    outcomes,
    parse,
)
from mappings.core.fields import Number, Part, Rows
from tests.support.adapter_under_test import make_settings
from tests.support.fixture_cases import CASES, FIXTURES, RECEIVED_AT, Case
from tests.support.whole_app import create_app

ROOT = Path(mappings.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
EACH_MODULE = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
SECRET, RETIRED = "current secret, with punctuation!", "r&tired \u00e9"
FEWEST_CASES = 14
FUZZED = 600
EACH = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
EACH_SCHEME = pytest.mark.parametrize(
    ("provider", "auth"),
    # Schemes that only the platform can sign are tested in test_adobe_signature.py.
    [(provider, auth) for provider in PROVIDERS.values() for auth, scheme in provider.schemes.items() if scheme.can_sign],
    ids=lambda value: getattr(value, "name", value),
)
PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def cases_of(provider: Provider) -> list[Case]:
    return [case for case in CASES if case.folder.parent.name == provider.name]


def sent_cases_of(provider: Provider) -> list[Case]:
    """The cases whose payload is one order that is sent to Drip."""
    return [case for case in cases_of(provider) if [is_body(outcome) for outcome in case.expected] == [True]]


def a_case_of(provider: Provider) -> Case:
    """The case with the longest payload."""
    return max(sent_cases_of(provider), key=lambda case: len(case.payload))


def mapped(provider: Provider) -> list[tuple[Case, Reading, Order]]:
    """Each case with one order that is sent, with its reading and its order."""
    result = []
    for case in sent_cases_of(provider):
        [reading] = provider.readings(case.payload, case.context)
        result.append((case, reading, provider.map(reading, case.context)))
    return result


def opened(case: Case) -> tuple[Any, dict[str, Any]]:
    """A case's document and the order in it, to change in place; without an envelope they are the same object."""
    document = parse(case.payload)
    several = case.provider.split(document)
    [only] = [document] if several is None else several
    payload = case.provider.read(only, case.context).payload
    objects = [document, *(node[key] for node, key in places_in(document))]
    alike = [node for node in objects if isinstance(node, dict) and all(payload.get(key) is value for key, value in node.items())]
    return document, max(alike, key=len)


def outcome(case: Case, document: Any) -> dict[str, Any]:
    [result] = outcomes(case.provider, encode(document), case.context)
    return result


def is_body(result: Mapping[str, Any]) -> bool:
    return "provider" in result


class TestProof:
    """A request is accepted only with a signature by its store's secret."""

    def judge(self, provider: Provider, auth: str, proof: str | None, payload: bytes, secrets: tuple[str, ...] = (SECRET,)) -> Verdict:
        credentials = Credentials(secrets=secrets, username="ada")
        headers = self.signed_with(provider, auth, proof, payload)
        return provider.scheme(auth).verify({"content-type": "application/json", **headers}, payload, credentials)

    def sign(self, provider: Provider, auth: str, payload: bytes, secret: str = SECRET) -> str:
        return provider.scheme(auth).sign(payload, secret, Credentials(secrets=(secret,), username="ada"))

    def signed_with(self, provider: Provider, auth: str, proof: str | None, payload: bytes) -> dict[str, str]:
        """The headers of a signed payload, with `proof` in the place of the signature."""
        scheme, credentials = provider.scheme(auth), Credentials(secrets=(SECRET,), username="ada")
        headers = dict(scheme.signed(payload, credentials))
        del headers[scheme.header(credentials)]
        # WSGI decodes headers as Latin-1.
        return headers if proof is None else {**headers, scheme.header(credentials): proof.encode().decode("latin-1")}

    @EACH_SCHEME
    def test_a_genuine_one_is_accepted(self, provider: Provider, auth: str) -> None:
        payload = a_case_of(provider).payload
        assert self.judge(provider, auth, self.sign(provider, auth, payload), payload) is Verdict.GENUINE

    @EACH_SCHEME
    @pytest.mark.parametrize("proof", [None, "", "   "], ids=["absent", "empty", "blank"])
    def test_a_missing_one_is_not_and_differs_from_a_wrong_one(self, provider: Provider, auth: str, proof: str | None) -> None:
        assert self.judge(provider, auth, proof, a_case_of(provider).payload) is Verdict.MISSING

    @EACH_SCHEME
    def test_a_wrong_truncated_or_non_ascii_one_is_not(self, provider: Provider, auth: str) -> None:
        payload = a_case_of(provider).payload
        genuine = self.sign(provider, auth, payload)
        wrong = [
            self.sign(provider, auth, payload, "another secret"), genuine[:-1], genuine[:20], genuine[1:], genuine + "x", genuine * 2,
            genuine.swapcase() + "=", "x", "0" * 64, "\u00e9\u00ff" * 22, "\u4f60\u597d", "Bearer", "Basic", "sha256=", "\x00",
        ]  # fmt: skip
        verdicts = {proof: self.judge(provider, auth, proof, payload) for proof in wrong}
        assert verdicts == dict.fromkeys(wrong, Verdict.MISMATCH)

    @EACH_SCHEME
    def test_one_of_a_retired_secret_is_accepted_while_it_is_in_the_settings(self, provider: Provider, auth: str) -> None:
        payload = a_case_of(provider).payload
        proof = self.sign(provider, auth, payload, RETIRED)
        assert self.judge(provider, auth, proof, payload, (SECRET, RETIRED)) is Verdict.GENUINE
        assert self.judge(provider, auth, proof, payload, (SECRET,)) is Verdict.MISMATCH

    @EACH
    def test_by_default_changing_any_byte_breaks_it(self, provider: Provider) -> None:
        payload = a_case_of(provider).payload
        proof = self.sign(provider, "", payload)
        places = random.Random(provider.name).sample(range(len(payload)), 20)
        changed = [payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :] for at in places]
        changed += [payload + b"\n", payload[:-1], b"", json.dumps(json.loads(payload), indent=1).encode()]
        assert {self.judge(provider, "", proof, each) for each in changed} == {Verdict.MISMATCH}

    @EACH
    def test_over_http_an_unverified_request_gets_401_and_is_not_kept(self, provider: Provider, engine: Engine) -> None:
        known = make_settings("http://127.0.0.1:9").stores[provider.name]
        store = replace(known, credentials=Credentials(secrets=(SECRET, RETIRED)))
        client = create_app(Settings(stores={store.name: store}, public_url="https://adapter.example"), engine).test_client()
        case = a_case_of(provider)
        proof = self.sign(provider, "", case.payload)

        def status(proof: str | None, payload: bytes = case.payload) -> int:
            headers = case.headers | self.signed_with(provider, "", proof, payload)
            return client.post(f"/webhooks/{store.name}", data=payload, headers=headers).status_code

        def kept() -> int:
            with snapshot(engine) as connection:
                return len(search.listed(connection, search.filtered(), 100))

        unproved = [None, "", self.sign(provider, "", case.payload, "another"), proof[:-1], "\u00e9\u00ff"]
        assert [status(each) for each in unproved] == [401] * len(unproved)
        assert status(proof, case.payload + b" ") == 401
        assert kept() == 0
        assert status(proof) == 200
        assert status(self.sign(provider, "", case.payload + b" ", RETIRED), case.payload + b" ") == 200
        assert kept() == 2


class TestDeclaration:
    @EACH
    def test_its_name_is_the_name_of_its_module(self, provider: Provider) -> None:
        assert PROVIDERS[provider.name] is provider
        assert import_module(f"mappings.{provider.name}").PROVIDER is provider
        assert provider.title

    @EACH
    def test_its_headers_are_in_lower_case_as_in_requests(self, provider: Provider) -> None:
        names = [
            *provider.topic_headers,
            *provider.kept_headers,
            *(name for scheme in provider.schemes.values() for name in scheme.headers),
        ]
        assert [name for name in names if name != name.lower()] == []

    @EACH
    def test_no_header_that_can_contain_a_secret_is_kept(self, provider: Provider) -> None:
        proofs = {name for scheme in provider.schemes.values() for name in scheme.headers}
        assert not {*proofs, "authorization", "cookie", "proxy-authorization"} & {*provider.kept_headers, *provider.topic_headers}

    @EACH
    def test_the_progress_of_two_orders_always_compares(self, provider: Provider) -> None:
        """Python compares tuples of different lengths without an error."""
        progresses = [reading.identity.progress for _, reading, _ in mapped(provider) if reading.identity]
        assert len({len(progress) for progress in progresses}) == 1
        assert {type(part) for progress in progresses for part in progress} == {Decimal}
        assert len(set(progresses)) > 1


class TestFixtures:
    @EACH
    def test_there_are_enough_of_them_with_each_kind_of_outcome(self, provider: Provider) -> None:
        assert len(cases_of(provider)) >= FEWEST_CASES
        kinds = {path.name for case in cases_of(provider) for path in case.folder.iterdir()}
        assert kinds >= {"drip.json", "skipped.json", "rejected.json"}

    @pytest.mark.parametrize("folder", sorted(path for path in FIXTURES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
    def test_a_case_is_a_folder_with_exactly_one_expectation(self, folder: Path) -> None:
        files = {path.name for path in folder.iterdir()}
        assert len(files & {"drip.json", "skipped.json", "rejected.json"}) == 1
        assert (
            {"headers.json", "payload.json"}
            <= files
            <= {"headers.json", "payload.json", "store.json", "catalog.json", "drip.json", "updated.json", "skipped.json", "rejected.json"}
        )
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", folder.name)
        assert folder.parent.name in PROVIDERS

    @EACH
    def test_none_contains_a_signature_because_the_runner_signs(self, provider: Provider) -> None:
        proofs = {name for scheme in provider.schemes.values() for name in scheme.headers}
        assert [case.id for case in cases_of(provider) if proofs & set(case.headers)] == []

    @EACH
    def test_no_two_are_about_the_same_order_so_that_all_can_be_replayed_into_one_store(self, provider: Provider) -> None:
        ids = [body["order_id"] for case in cases_of(provider) for body in case.expected if is_body(body)]
        assert sorted(ids) == sorted(set(ids))

    @EACH
    def test_no_skip_detail_contains_personal_data(self, provider: Provider) -> None:
        for case in cases_of(provider):
            try:
                readings = provider.readings(case.payload, case.context)
            except Rejected:
                continue
            for skip in (skip for reading in readings for skip in reading.skips):
                assert skip.detail
                assert "@" not in skip.detail, case.id


def fields_of(schema: Schema, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], fields.Field[Any]]]:
    """Every field of a schema with its path in the payload; `*` is any row."""
    for name, field in schema.fields.items():
        path = (*steps, field.data_key or name)
        yield path, field
        if isinstance(field, (Part, Rows)):
            yield from fields_of(field.nested, (*path, "*") if isinstance(field, Rows) else path)


def strict_rows(provider: Provider) -> list[str]:
    """The keys of the lines in a provider's orders."""
    return [name for name, field in provider.schema.fields.items() if isinstance(field, Rows) and field.strict]


FIELDS = [(provider, path, field) for provider in PROVIDERS.values() for path, field in fields_of(provider.schema)]
REQUIRED = [pytest.param(provider, path, id=f"{provider.name} {'.'.join(path)}") for provider, path, field in FIELDS if field.required]
NUMBERS = [
    pytest.param(provider, path, id=f"{provider.name} {'.'.join(path)}") for provider, path, field in FIELDS if isinstance(field, Number)
]


def holders(provider: Provider, path: tuple[str, ...]) -> Iterator[tuple[Case, Any, dict[str, Any], str]]:
    """Each case with a place for a path's last step: the document, the object in it, and the dotted path."""
    for case in sent_cases_of(provider):
        document, order = opened(case)
        node: Any = order
        for step, following in pairwise(path):
            if isinstance(node, dict):
                node = node.get(step) if following == "*" else node.setdefault(step, {})
            elif isinstance(node, list):
                node = next(iter(node), None)
        if isinstance(node, dict):
            yield case, document, node, ".".join("0" if step == "*" else step for step in path)


class TestMapping:
    @pytest.mark.parametrize(("provider", "path"), REQUIRED)
    def test_a_missing_required_field_is_reported_by_its_path(self, provider: Provider, path: tuple[str, ...]) -> None:
        case, document, node, dotted_path = next(found for found in holders(provider, path) if path[-1] in found[2])
        del node[path[-1]]
        assert list(outcome(case, document)["rejected"]) == [dotted_path]

    @pytest.mark.parametrize(("provider", "path"), NUMBERS)
    def test_an_unreadable_amount_is_reported_by_its_path_and_not_guessed(self, provider: Provider, path: tuple[str, ...]) -> None:
        for case, document, node, dotted_path in holders(provider, path):
            node[path[-1]] = "free"
            assert outcome(case, document) == {"rejected": {dotted_path: ["Not a valid number."]}}
            return
        pytest.fail(f"no case of {provider.name} has a place for {'.'.join(path)}")

    @EACH
    def test_without_any_id_an_order_is_not_sent_and_the_path_is_reported(self, provider: Provider) -> None:
        for case in sent_cases_of(provider):
            document, node = opened(case)
            nameless = without_ids(node)
            node.clear()
            node.update(nameless)
            assert provider.id_path in outcome(case, document)["rejected"], case.id

    @EACH
    def test_without_its_totals_an_order_is_not_sent_as_one_of_0(self, provider: Provider) -> None:
        """Drip reads a missing grand_total as 0 and resets the shopper's value."""
        rejected = 0
        for case in sent_cases_of(provider):
            document, node = opened(case)
            for key in [key for key in node if "total" in key]:
                del node[key]
            result = outcome(case, document)
            assert not is_body(result), case.id
            rejected += "rejected" in result
        assert rejected >= 5

    @pytest.mark.slow
    @EACH
    @pytest.mark.parametrize(
        ("drip_name", "words"), [("price", ("price", "total")), ("quantity", ("quantity", "qty"))], ids=["price", "quantity"]
    )
    def test_a_line_without_a_price_or_quantity_is_not_sent_as_0(self, provider: Provider, drip_name: str, words: tuple[str, ...]) -> None:
        """It is rejected by its path, unless other lines complete it, as in a bundle."""
        rejected = 0
        for case, _, golden in mapped(provider):
            document, order = opened(case)
            name, rows = next(((name, order[name]) for name in strict_rows(provider) if order.get(name)), ("", []))
            for line in list(rows.values() if isinstance(rows, dict) else rows)[:1]:
                for key in [key for key in line if any(word in key for word in words)]:
                    del line[key]
                result = outcome(case, document)
                if is_body(result):
                    assert result["items"][0][drip_name] == getattr(golden.items[0], drip_name), case.id
                else:
                    assert [path.startswith(f"{name}.0.") for path in result["rejected"]] == [True], case.id
                    rejected += 1
        assert rejected >= 5

    @EACH
    def test_mapping_twice_gives_the_same_and_leaves_the_payload_alone(self, provider: Provider) -> None:
        for case, reading, order in mapped(provider):
            before = encode(reading.payload)
            [again] = provider.readings(case.payload, case.context)
            assert again == reading, case.id
            assert provider.map(again, case.context) == order, case.id
            assert provider.map(reading, case.context) == order, case.id
            assert encode(reading.payload) == before, case.id

    @EACH
    def test_all_lines_become_items_in_the_stores_order(self, provider: Provider) -> None:
        """If each line is independent: the same lines in reverse order give the items in reverse order."""
        tried = 0
        for case, _, order in mapped(provider):
            document, node = opened(case)
            rows = next((node[name] for name in strict_rows(provider) if node.get(name)), None)
            belongs = isinstance(rows, list) and any(row[key] for row in rows for key in row if key.startswith("parent"))
            if not isinstance(rows, list) or belongs or len(rows) != len(order.items):
                continue
            tried += 1
            rows += list(reversed(rows))
            body = outcome(case, document)
            names = [item.name for item in order.items]
            assert [item["name"] for item in body["items"]] == [*names, *reversed(names)], case.id
        assert tried >= 3

    @EACH
    def test_the_platforms_own_sums_hold_on_every_paid_order(self, provider: Provider) -> None:
        paid = [(case, order) for case, _, order in mapped(provider) if order.attributes.get("financial_status") == "paid"]
        assert len(paid) >= 5
        assert {case.id: order.discrepancy for case, order in paid if order.discrepancy} == {}

    @EACH
    def test_a_wrong_total_is_noticed(self, provider: Provider) -> None:
        case = next(case for case, _, order in mapped(provider) if not order.discrepancy)
        document, node = opened(case)
        seen = []
        for key, value in list(node.items()):
            if isinstance(value, Decimal) or (isinstance(value, str) and re.fullmatch(r"\d+\.\d+", value)):
                node[key] = Decimal(value) + 1000
                [reading] = provider.readings(encode(document), case.context)
                seen.append(provider.map(reading, case.context).discrepancy)
                node[key] = value
        assert {abs(difference) for difference in seen if difference is not None} >= {1000}


def without_ids(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_ids(value) for key, value in node.items() if key != "id" and not key.endswith("_id")}
    return [without_ids(entry) for entry in node] if isinstance(node, list) else node


def places_in(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    if isinstance(node, (dict, list)):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places_in(node[key])


def nested(levels: int) -> Any:
    node: Any = []
    for _ in range(levels):
        node = [node]
    return node


GONE = object()
JUNK: tuple[Any, ...] = (
    GONE,
    None,
    "",
    [],
    {},
    "x",
    -1,
    Decimal("1e400"),
    True,
    nested(300),
    10**30,
    "1e1000000",
    ["x"],
    [None],
    {"a": {"b": 1}},
    0,
    "-5.00",
)


def check_outcome(result: dict[str, Any]) -> None:
    """Any of the three outcomes, complete."""
    if "rejected" in result:
        assert result["rejected"]
        for path, why in result["rejected"].items():
            assert isinstance(path, str)
            assert why
            assert all(isinstance(each, str) and each for each in why)
    elif "skipped" in result:
        assert result["skipped"] in list(Reason)
    else:
        assert OrderActivity().validate(result) == {}
        assert {"grand_total", "total_discounts", "total_taxes", "total_fees", "total_shipping", "occurred_at", "items"} <= set(result)
        assert not re.search(rb"[:,\[]-0(\.0+)?[,}\]]", encode(result)), "a negative zero"


class TestAnyPayload:
    @pytest.mark.slow
    @pytest.mark.no_cover
    @EACH
    def test_a_mutated_golden_payload_always_has_an_outcome(self, provider: Provider) -> None:
        """Removed keys and junk values: a seeded sample of all payloads, and all of one line."""
        documents = [
            (case, parse(case.payload))
            for case in cases_of(provider)
            if "rejected.json" not in {path.name for path in case.folder.iterdir()}
        ]
        seeded = random.Random(provider.name)
        everywhere = [(case, document, *place) for case, document in documents for place in places_in(document)]
        junked = [(*place, seeded.choice(JUNK)) for place in seeded.sample(everywhere, FUZZED)]
        fullest = a_case_of(provider)
        document, order = opened(fullest)
        rows = next(order[name] for name in strict_rows(provider) if order.get(name))
        of_a_line = places_in(next(iter(rows.values() if isinstance(rows, dict) else rows)))
        junked += [(fullest, document, *place, value) for place in of_a_line for value in JUNK]
        for case, document, node, key, value in junked:
            kept = node.pop(key)
            if value is not GONE:
                put(node, key, value)
            try:
                for result in outcomes(provider, encode(document), case.context):
                    check_outcome(result)
            except Exception as error:
                error.add_note(f"{case.id}: {key!r} replaced by {str(value)[:40]}")
                raise
            finally:
                if value is not GONE:
                    node.pop(key)
                put(node, key, kept)

    @EACH
    def test_the_plan_and_marshmallow_load_every_golden_payload_alike(self, provider: Provider) -> None:
        for case in cases_of(provider):
            for payload in payloads_in(provider, case):
                assert loaded_by(provider.schema.load, payload) == loaded_by(provider.schema.load_reporting, payload), case.id

    @pytest.mark.slow
    @pytest.mark.no_cover
    @EACH
    @PATIENT
    @given(data=st.data())
    def test_the_plan_and_marshmallow_load_any_json_alike(self, provider: Provider, data: st.DataObject) -> None:
        document = parse(encode(data.draw(documents_like(provider.name))))
        assert loaded_by(provider.schema.load, document) == loaded_by(provider.schema.load_reporting, document)

    @pytest.mark.slow
    @pytest.mark.no_cover
    @EACH
    @PATIENT
    @given(data=st.data())
    def test_any_json_has_an_outcome(self, provider: Provider, data: st.DataObject) -> None:
        document = data.draw(documents_like(provider.name))
        topics = sorted({case.context.topic for case in cases_of(provider)})
        context = Context(
            topic=data.draw(st.sampled_from(topics) | st.text(max_size=20)),
            received_at=RECEIVED_AT,
            options=a_case_of(provider).context.options,
        )
        for result in outcomes(provider, encode(document), context):
            check_outcome(result)

    @EACH
    @pytest.mark.parametrize("payload", [b"", b"webhook_id=7", b"\xff", b"[" * 10_000, b"NaN", b"{}x"])
    def test_what_is_not_json_is_rejected_as_a_whole(self, provider: Provider, payload: bytes) -> None:
        [result] = outcomes(provider, payload, Context(received_at=RECEIVED_AT))
        assert list(result["rejected"]) == [""]


def payloads_in(provider: Provider, case: Case) -> Iterator[Any]:
    """The payloads of a golden case, as the schema gets them."""
    with suppress(Rejected):
        document = parse(case.payload)
        for each in provider.split(document) or [document]:
            payload = provider.find(each, case.context)
            if not isinstance(payload, Skip):
                yield payload


def loaded_by(load: Callable[[Any], Any], payload: Any) -> Any:
    """The result of a loader for a payload: the loaded values, or the messages."""
    try:
        return load(payload)
    except ValidationError as error:
        return error.messages, error.valid_data


def put(node: Any, key: Any, value: Any) -> None:
    if isinstance(node, list):
        node.insert(key, value)
    else:
        node[key] = value


@cache
def documents_like(name: str) -> st.SearchStrategy[Any]:
    """Any JSON with the keys of the provider's payloads."""
    keys = set()
    for case in cases_of(PROVIDERS[name]):
        try:
            keys |= {key for _, key in places_in(parse(case.payload)) if isinstance(key, str)}
        except Rejected:
            continue
    leaves = (
        st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=10)
        | st.sampled_from(["7", "19.99", "USD", "a@b.example", "2026-01-01T00:00:00Z", "https://b.example/", "canceled", "refund"])
    )  # fmt: skip
    words = st.sampled_from(sorted(keys))
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=12), max_leaves=40)


class TestPurity:
    """`mappings/` does no I/O, reads no clock and no environment, and imports nothing of `adapter/`."""

    LIBRARIES = frozenset({"mappings", "marshmallow", "msgspec", "iso_4217", "cryptography"})
    IMPURE = frozenset(
        {"asyncio", "concurrent", "getpass", "http", "io", "locale", "logging", "multiprocessing", "os", "pathlib", "platform", "random",
         "secrets", "select", "shutil", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request",
         "uuid"}
    )  # fmt: skip

    @EACH_MODULE
    def test_a_module_imports_only_what_is_pure(self, path: Path) -> None:
        imported = {(name, name.partition(".")[0]) for name in imports_of(path)}
        assert {name for name, root in imported if root not in self.LIBRARIES | sys.stdlib_module_names} == set()
        assert {name for name, root in imported if {name, root} & self.IMPURE} == set()

    @EACH_MODULE
    def test_a_module_reads_no_clock_and_opens_nothing(self, path: Path) -> None:
        calls = [node.func for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
        called = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
        assert not called & {
            "now",
            "utcnow",
            "today",
            "open",
            "print",
            "input",
            "getenv",
            "read_text",
            "read_bytes",
            "urlopen",
            "eval",
            "exec",
        }

    @EACH
    def test_a_provider_imports_nothing_of_another(self, provider: Provider) -> None:
        own = ("mappings.core.", f"mappings.{provider.name}.")
        imported = {name for path in (ROOT / provider.name).glob("*.py") for name in imports_of(path)}
        assert [name for name in imported if name.partition(".")[0] == "mappings" and not name.startswith(own)] == []

    def test_the_core_imports_nothing_of_a_provider(self) -> None:
        imported = {name for path in (ROOT / "core").glob("*.py") for name in imports_of(path)}
        assert [name for name in imported if name.partition(".")[0] == "mappings" and not name.startswith("mappings.core.")] == []

    def test_the_package_imports_nothing_of_the_adapter(self) -> None:
        script = "import mappings, sys; print(*{'adapter', 'flask', 'werkzeug', 'requests', 'sqlalchemy', 'alembic'} & set(sys.modules))"
        root = Path(mappings.__file__).parent.parent
        assert subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=True, text=True).stdout.strip() == ""


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_bytes())
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {"." * node.level + (node.module or "") for node in nodes if isinstance(node, ast.ImportFrom)}
