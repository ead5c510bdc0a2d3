"""Replaying fixtures to a running adapter, over real HTTP."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from werkzeug.serving import make_server

from adapter import samples
from adapter.cli import main
from adapter.process.replay import Case, find_cases, freshen, schedule
from adapter.process.supervisor import free_port
from adapter.sandbox import running_sandbox
from mappings import Context, Rejected, parse
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, make_settings
from tests.support.fixture_cases import FIXTURES

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHOPIFY = str(FIXTURES / "shopify")
PAID = str(FIXTURES / "shopify/paid-order")


@dataclass
class Running:
    url: str
    adapter: AdapterUnderTest

    def replay(self, *arguments: str) -> Result:
        return run(*arguments, "--to", self.url)

    def payloads(self) -> list[bytes]:
        return [row.payload for row in self.adapter.rows()]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments], catch_exceptions=False)


def answers(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def running(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", SECRET)
    with running_sandbox() as sandbox:
        adapter = AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)
        server = make_server("127.0.0.1", 0, adapter.web.application, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield Running(f"http://127.0.0.1:{server.server_port}", adapter)
        server.shutdown()
        thread.join()
        server.server_close()


@on_sqlite
def test_every_fixture_in_a_folder_is_posted_byte_for_byte(running: Running) -> None:
    result = running.replay(SHOPIFY, "--json")
    assert result.exit_code == 0
    folders = sorted(path.parent for path in Path(SHOPIFY).rglob("payload.json"))
    assert [answer["case"] for answer in answers(result)] == [f"shopify/{folder.name}" for folder in folders]
    assert {answer["status"] for answer in answers(result)} == {200}
    assert running.payloads() == [(folder / "payload.json").read_bytes() for folder in folders]
    headers = [json.loads((folder / "headers.json").read_bytes()) for folder in folders]
    topics = [sent.get("X-Shopify-Topic") or sent.get("Shopify-Topic", "") for sent in headers]
    assert [row.topic for row in running.adapter.rows()] == topics


@on_sqlite
def test_the_path_may_be_one_case_or_one_of_its_files(running: Running) -> None:
    result = running.replay(PAID, f"{SHOPIFY}/refund-full/payload.json")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "2 posted, 2 accepted, 0 refused")
    assert [line.split()[:2] for line in result.stdout.splitlines()[:-1]] == [["200", "shopify/paid-order"], ["200", "shopify/refund-full"]]


@on_sqlite
def test_repeating_posts_duplicates(running: Running) -> None:
    result = running.replay(PAID, "--repeat", "3", "--json")
    assert [json.loads(answer["answer"])["status"] for answer in answers(result)] == ["kept", "duplicate", "duplicate"]
    assert len(running.payloads()) == 1


@on_sqlite
def test_fresh_webhooks_are_new_orders_that_reach_drip(running: Running) -> None:
    result = running.replay(PAID, "--repeat", "3", "--fresh", "--json")
    assert [json.loads(answer["answer"])["status"] for answer in answers(result)] == ["kept"] * 3
    running.adapter.clock.now = datetime.now(UTC)
    running.adapter.settle()
    assert running.adapter.states() == ["delivered"] * 3
    received = running.adapter.received()
    original = str(json.loads((Path(PAID) / "payload.json").read_bytes())["id"])
    assert {order["action"] for order in received} == {"created"}
    assert len({original, *(order["order_id"] for order in received)}) == 4
    assert {order["grand_total"] for order in received} == {json.loads((Path(PAID) / "drip.json").read_bytes())["grand_total"]}


@on_sqlite
def test_shuffling_posts_the_same_in_another_order(running: Running) -> None:
    in_order = [path.parent.name for path in sorted(Path(SHOPIFY).rglob("payload.json"))]
    shuffled = [answer["case"].removeprefix("shopify/") for answer in answers(running.replay(SHOPIFY, "--shuffle", "--json"))]
    assert sorted(shuffled) == in_order
    assert shuffled != in_order


def test_repeating_goes_round_by_round() -> None:
    cases = find_cases([FIXTURES / "shopify"])
    plan = [case for case, _ in schedule(cases, repeat=2, shuffle=False, fresh=False)]
    assert plan == cases + cases


@on_sqlite
def test_the_rate_is_never_exceeded(running: Running) -> None:
    begun = time.monotonic()
    assert running.replay(PAID, "--repeat", "6", "--rate", "20").exit_code == 0
    assert time.monotonic() - begun >= 5 / 20


@on_sqlite
def test_a_wrong_secret_is_refused_and_exits_with_1(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", "another-secret")
    result = running.replay(PAID)
    assert result.exit_code == 1
    assert "SHOPIFY_WEBHOOK_SECRET" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 posted, 0 accepted, 1 refused"
    assert running.payloads() == []


@on_sqlite
def test_the_store_may_be_chosen(running: Running) -> None:
    result = running.replay(PAID, "--store", "elsewhere", "--json")
    why = "no store is named 'elsewhere'; there is shopify"
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"error": why})
    assert result.stderr == f"Error: {why}\n"


def test_if_nothing_listens_it_exits_with_1_and_says_where() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    result = run(PAID, "--to", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert url in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_path_without_fixtures_exits_with_1(tmp_path: Path) -> None:
    result = run(str(tmp_path), "--to", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "headers.json" in result.stderr


def test_fresh_turns_the_order_of_every_fixture_into_a_new_one() -> None:
    changed: Counter[bool] = Counter()
    for case in find_cases([FIXTURES]):
        before, after = identities(case, case.payload), identities(case, freshen([case])[0])
        assert len(before) == len(after), case.folder
        now = datetime.now(UTC)
        for old, new in zip(before, after, strict=True):
            changed[old.order_id != new.order_id] += 1
            assert all(moment is None or moment <= now for moment in (new.created_at, new.updated_at)), case.folder
        times = [identity.updated_at for identity in after if identity.updated_at is not None]
        assert not times or now - max(times) < timedelta(days=2), case.folder
    assert changed[True] > 100
    assert changed[False] == 0


def test_fresh_keeps_the_states_of_an_order_together_and_in_their_order() -> None:
    cases = [Case(Path(samples.__file__).parent / name) for name in samples.STORY]
    payloads = freshen(cases)
    states: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    for case, payload in zip(cases, payloads, strict=True):
        for old, new in zip(identities(case, case.payload), identities(case, payload), strict=True):
            states.setdefault((case.provider.name, old.order_id), []).append((old, new))
    assert max(len(found) for found in states.values()) == 4  # placed, edited, refunded, and an older state
    for found in states.values():
        assert len({new.order_id for _, new in found}) == 1
        assert len({new.updated_at - old.updated_at for old, new in found}) == 1


def test_each_round_of_fresh_ones_has_ids_of_its_own() -> None:
    cases = find_cases([Path(PAID)])
    ids = {
        identity.order_id for case, payload in schedule(cases, repeat=3, shuffle=True, fresh=True) for identity in identities(case, payload)
    }
    assert len(ids) == 3


def identities(case: Case, payload: bytes) -> list[Any]:
    try:
        document = parse(payload)
    except Rejected:
        return []
    provider = case.provider
    context = Context(topic=provider.topic(case.headers), headers=case.headers, received_at=datetime.now(UTC))
    parts = provider.split(document)
    readings = [provider.read(part, context) for part in ([document] if parts is None else parts)]
    return [reading.identity for reading in readings if reading.identity is not None]
