"""/metrics and /status: who may read them, the same from every process, counters that survive purges, no personal data."""

import json
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import Engine, select, update

from adapter.delivery.lease import Lease
from adapter.inbox import counters, receiving
from adapter.inbox.accounts import READER
from adapter.inbox.counters import SLOTS
from adapter.inbox.database import connect, snapshot, transaction
from adapter.inbox.receiving import Arrival
from adapter.inbox.retention import Retention
from adapter.inbox.tables import counters as counted
from adapter.inbox.tables import deliveries, leases
from adapter.monitoring.metrics import Metrics
from adapter.stores.http import StoreTrouble
from mappings import Key
from tests.catalog.test_catalog import LAMP_IS, Shelf, Stock, stock
from tests.process.test_serve import serving
from tests.support import terminal
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, run_sender, shopify_order, signed
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app

__all__ = ["stock"]

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
DOCS = Path(__file__).parent.parent.parent / "docs"
FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


def figures_of(text: str) -> Figures:
    """Name without the prefix, and labels -> value."""
    return {
        (sample.name.removeprefix("drip_adapter_"), frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def figures(adapter: AdapterUnderTest) -> Figures:
    """Read by a process that has nothing cached."""
    text, _ = Metrics(adapter.settings).text(adapter.engine, "")
    return figures_of(text.decode())


def value(of: Figures, name: str, **labels: str) -> float | None:
    return of.get((name, frozenset(labels.items())))


def names_told(adapter: AdapterUnderTest) -> set[str]:
    return {name for name, _ in figures(adapter)}


class TestWhatIsCounted:
    def test_an_orders_deliveries(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1001), webhook_id="w")
        adapter.post(shopify_order(1001), webhook_id="w")
        adapter.post(shopify_order(1002, test=True))
        adapter.post(b"no JSON")
        adapter.web.post("/webhooks/shopify", data=b"{}", headers=signed(b"{}", secret="x"))
        before = figures(adapter)
        assert value(before, "deliveries_waiting", store="shopify", state="unread") == 3
        adapter.settle()
        told = figures(adapter)
        assert value(told, "deliveries_kept_total", store="shopify") == 3
        assert value(told, "webhooks_duplicate_total", store="shopify") == 1
        assert value(told, "webhooks_refused_total", store="shopify", reason="mismatch") == 1
        assert value(told, "webhooks_refused_total", store="shopify", reason="missing") == 0
        assert value(told, "deliveries_delivered_total", store="shopify") == 1
        assert value(told, "deliveries_skipped_total", store="shopify", reason="test_order") == 1
        assert value(told, "deliveries_dead_total", store="shopify") == 1
        assert value(told, "dead_letters", store="shopify") == 1
        assert value(told, "attempts_total", account=ACCOUNT.id, kind="single", outcome="delivered") == 1
        assert value(told, "requests_total", account=ACCOUNT.id, kind="single", status="202") == 1
        assert value(told, "quota_left_requests", account=ACCOUNT.id, kind="single") == 3599
        assert value(told, "quota_left_requests", account=ACCOUNT.id, kind="batch") == 50
        assert value(told, "deliveries_kept_total", store="magento") == 0
        # The test's clock is a minute ahead.
        assert value(told, "delivery_seconds_count", store="shopify") == 1
        assert value(told, "delivery_seconds_bucket", store="shopify", le="30.0") == 0
        assert value(told, "delivery_seconds_bucket", store="shopify", le="300.0") == 1
        assert 55 < (value(told, "delivery_seconds_sum", store="shopify") or 0) < 65

    def test_product_look_ups(self, adapter: AdapterUnderTest, stock: Stock) -> None:
        stock(Shelf("broken", fails=StoreTrouble("503")), Shelf("storefront", [LAMP_IS]))
        adapter.post(shopify_order(1001))
        adapter.settle()
        told = figures(adapter)
        looked_up = {
            (source, outcome): value(told, "product_look_ups_total", store="shopify", source=source, outcome=outcome)
            for source in ("broken", "storefront")
            for outcome in ("found", "missing", "failed")
        }
        assert {key: number for key, number in looked_up.items() if number} == {
            ("broken", "failed"): 2, ("storefront", "found"): 1, ("storefront", "missing"): 1,
        }  # fmt: skip

    def test_sums_that_differ(self, adapter: AdapterUnderTest) -> None:
        line = {"id": 1, "product_id": 7, "title": "Lamp", "price": "100.00", "quantity": 1}
        adapter.post(shopify_order(1001, total="150.00", total_line_items_price="100.00", line_items=[line]))
        adapter.settle()
        assert value(figures(adapter), "sums_differ_total", store="shopify") == 1

    @pytest.mark.slow
    def test_a_batch_is_counted_order_by_order(self, adapter: AdapterUnderTest) -> None:
        for sender in adapter.senders.values():
            sender._pacing.single_takes_s = 1000.0  # so that a batch is preferred
        adapter.post({"orders": [shopify_order(2000 + number) for number in range(400)]})
        adapter.settle()
        told = figures(adapter)
        assert value(told, "deliveries_kept_total", store="shopify") == 401
        assert value(told, "deliveries_delivered_total", store="shopify") == 400
        taken = {
            kind: value(told, "attempts_total", account=ACCOUNT.id, kind=kind, outcome="delivered") or 0 for kind in ("single", "batch")
        }
        assert (sum(taken.values()), taken["batch"] > 0) == (400, True)
        assert value(told, "delivery_seconds_count", store="shopify") == 400

    def test_what_is_waiting_and_for_how_long(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=400, body={"errors": [{"attribute": "provider", "message": "unknown"}]})
        adapter.post(shopify_order(1001))
        adapter.post(shopify_order(1002))
        adapter.read()
        long_ago = datetime.now(UTC) - timedelta(minutes=15)
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).where(deliveries.c.id == 1).values(due_at=long_ago))
            connection.execute(update(deliveries).where(deliveries.c.id == 2).values(due_at=datetime.now(UTC) + timedelta(hours=1)))
        told = figures(adapter)
        waiting = {state: value(told, "deliveries_waiting", store="shopify", state=state) for state in ("unread", "due", "later")}
        assert waiting == {"unread": 0, "due": 1, "later": 1}
        assert 890 < (value(told, "oldest_waiting_seconds", store="shopify", state="due") or 0) < 910
        assert value(told, "oldest_waiting_seconds", store="shopify", state="unread") == 0
        assert value(told, "account_paused", account=ACCOUNT.id) == 0
        adapter.settle()
        told = figures(adapter)
        assert value(told, "account_paused", account=ACCOUNT.id) == 1
        assert 0 <= (value(told, "sender_lease_age_seconds", account=ACCOUNT.id) or -1) < 20

    def test_a_silent_store(self, adapter: AdapterUnderTest) -> None:
        now = datetime.now(UTC)
        with transaction(adapter.engine) as connection:
            for hour in range(24 * 9):
                at = now - timedelta(hours=30 + hour, minutes=1)
                key = Key(value=str(hour), expires=False)
                receiving.keep(connection, Arrival(store="shopify", key=key, topic="", headers={}, payload=b"{}", at=at))
        told = figures(adapter)
        assert value(told, "store_quiet", store="shopify") == 1
        assert (value(told, "store_silence_seconds", store="shopify") or 0) > 30 * 3600
        assert (value(told, "store_patience_seconds", store="shopify") or 0) < 30 * 3600
        assert value(told, "store_silence_seconds", store="magento") is None


class TestCountersRise:
    @pytest.mark.slow
    def test_after_a_purge(self, adapter: AdapterUnderTest) -> None:
        for number in range(5):
            adapter.post(shopify_order(1000 + number))
        adapter.settle()
        before = figures(adapter)
        with transaction(adapter.engine) as connection:
            for store in adapter.settings.stores:
                counters.roll_up(connection, store, 3)
        assert value(figures(adapter), "deliveries_kept_total", store="shopify") == 5
        with transaction(adapter.engine) as connection:
            for store in adapter.settings.stores:
                counters.roll_up(connection, store, counters.newest_id(connection))
                counters.roll_up(connection, store, 2)  # by somebody who remembers an older time
        for _ in Retention(adapter.engine, adapter.settings).purge(adapter.clock() + timedelta(days=100)):
            pass
        assert adapter.rows() == []
        after = figures(adapter)
        assert [name for name, number in before.items() if name[0].endswith("_total") and after[name] < number] == []
        assert value(after, "deliveries_kept_total", store="shopify") == 5
        assert value(after, "deliveries_delivered_total", store="shopify") == 5

    def test_a_transaction_that_fails_counts_nothing(self, adapter: AdapterUnderTest) -> None:
        def work() -> None:
            with transaction(adapter.engine) as connection:
                counters.count(connection, "dead", 7, store="shopify")
                raise KeyError("broken off")

        with pytest.raises(KeyError):
            work()
        assert value(figures(adapter), "deliveries_dead_total", store="shopify") == 0

    @pytest.mark.slow
    def test_many_at_once_lose_nothing_and_dont_deadlock(self, adapter: AdapterUnderTest, database_url: str) -> None:
        begin = threading.Barrier(6)
        stores = list(adapter.settings.stores)

        def work(number: int) -> None:
            engine = connect(database_url)
            begin.wait()
            for _ in range(25):
                with transaction(engine) as connection:
                    for store in stores if number % 2 else reversed(stores):
                        counters.count(connection, "duplicates", store=store)
            engine.dispose()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        told = figures(adapter)
        assert [value(told, "webhooks_duplicate_total", store=store) for store in stores] == [150] * len(stores)
        with snapshot(adapter.engine) as connection:
            rows = connection.execute(select(counted.c.slot).where(counted.c.name == "duplicates")).all()
        assert {row.slot for row in rows} <= set(range(SLOTS)) if adapter.engine.dialect.name == "postgresql" else {0}


class TestWhoMaySee:
    @pytest.fixture(params=["/metrics", "/status"])
    def path(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize(
        ("open_to", "headers", "remote", "status"),
        [
            ("", {}, "127.0.0.1", 401),
            ("", {"Host": "[::1]:8000"}, "::1", 401),
            ("", {"Authorization": "Bearer the-token"}, "10.0.0.7", 200),
            ("", {"Authorization": "Bearer the-token", **FORWARDED}, "127.0.0.1", 200),
            ("", {"Authorization": "Bearer the-tokem"}, "127.0.0.1", 401),
            ("", {"Authorization": "the-token"}, "10.0.0.7", 401),
            ("", {"Authorization": "Bearer "}, "10.0.0.7", 401),
            ("loopback", {}, "127.0.0.1", 200),
            ("loopback", {"Host": "[::1]:8000"}, "::1", 200),
            ("loopback", FORWARDED, "127.0.0.1", 401),
            ("loopback", {"X-Real-IP": "203.0.113.9"}, "127.0.0.1", 401),
            ("loopback", {"Forwarded": "for=127.0.0.1"}, "127.0.0.1", 401),
            ("loopback", {"X-Forwarded-For": "127.0.0.1"}, "203.0.113.9", 401),
            ("loopback", {"Host": "rebound.example"}, "127.0.0.1", 401),
            ("loopback", {}, "10.0.0.7", 401),
            ("everyone", {}, "203.0.113.9", 200),
            ("everyone", FORWARDED, "127.0.0.1", 200),
        ],
    )  # fmt: skip
    def test_the_token_or_whom_a_setting_lets_in(
        self, engine: Engine, path: str, open_to: Any, headers: Mapping[str, str], remote: str, status: int
    ) -> None:
        settings = replace(make_settings("http://127.0.0.1:1"), metrics_token="the-token", status_open_to=open_to)
        run_sender(engine)
        client = create_app(settings, engine).test_client()
        assert client.get(path, headers=dict(headers), environ_base={"REMOTE_ADDR": remote}).status_code == status

    def test_without_a_token_a_blank_one_opens_nothing(self, engine: Engine, path: str) -> None:
        client = create_app(make_settings("http://127.0.0.1:1"), engine).test_client()
        for sent in ("Bearer ", "Bearer", ""):
            assert client.get(path, headers={"Authorization": sent, **FORWARDED}).status_code == 401

    def test_a_logged_in_visitor(self, engine: Engine, path: str) -> None:
        run_sender(engine)
        app = create_app(make_settings("http://127.0.0.1:1"), engine)
        app.extensions["may_see"] = lambda: True
        assert app.test_client().get(path, headers=FORWARDED).status_code == 200
        app.extensions["may_see"] = lambda: False
        assert app.test_client().get(path, headers=FORWARDED).status_code == 401


class TestStatus:
    def test_a_silent_store_is_reported_without_a_503(self, adapter: AdapterUnderTest) -> None:
        TestWhatIsCounted().test_a_silent_store(adapter)
        adapter.settle()
        answer = adapter.web.get("/status")
        assert (answer.status_code, answer.get_json()["stores"]["shopify"]["quiet"]) == (200, True)

    def test_stuck_orders_or_a_paused_account_give_503_but_readyz_stays_200(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1001))
        adapter.read()
        assert adapter.web.get("/status").status_code == 200
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).values(due_at=datetime.now(UTC) - timedelta(minutes=11)))
        answer = adapter.web.get("/status")
        assert answer.status_code == 503
        assert any("have been waiting since" in why for why in answer.get_json()["why"])
        adapter.settle()
        with transaction(adapter.engine) as connection:
            connection.execute(
                update(leases).where(leases.c.account == ACCOUNT.id).values(paused_since=datetime.now(UTC), pause_reason="401")
            )
        answer = adapter.web.get("/status")
        [finding] = answer.get_json()["findings"]
        assert (answer.status_code, finding["text"]) == (503, f"Drip account {ACCOUNT.id} is paused: 401.")
        assert adapter.web.get("/readyz").status_code == 200

    def test_a_killed_sender_is_not_running(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.get("/status").get_json()["accounts"][ACCOUNT.id]["sender"] is True
        with transaction(adapter.engine) as connection:
            connection.execute(update(leases).values(expires_at=datetime.now(UTC) - timedelta(minutes=2)))
        assert adapter.web.get("/status").get_json()["accounts"][ACCOUNT.id]["sender"] is False

    @pytest.mark.slow
    def test_the_command_reports_the_same(self, adapter: AdapterUnderTest, database_url: str) -> None:
        adapter.post(shopify_order(1001))
        result = terminal.run("status", "--json", DATABASE_URL=database_url, SHOPIFY_WEBHOOK_SECRET="the-secret")
        told = json.loads(result.stdout)
        page = adapter.web.get("/status").get_json()
        assert set(page) < set(told)  # which has the figures of the overview too
        assert told["stores"]["shopify"] == page["stores"]["shopify"]
        listed = terminal.run("deliveries", "list", "--json", DATABASE_URL=database_url)
        assert list(json.loads(listed.stdout)) == [
            "id", "store", "topic", "order_id", "state", "reason", "attempts", "received_at", "settled_at",
        ]  # fmt: skip


@pytest.mark.slow
def test_two_workers_report_the_same_and_so_does_the_next_start(tmp_path: Path) -> None:
    variables = {"WEB_CONCURRENCY": "2"}

    def scrapes(url: str, times: int) -> list[Figures]:
        # A connection each, so that either worker is asked.
        return [figures_of(requests.get(f"{url}/metrics", timeout=10).text) for _ in range(times)]

    def only_counters(told: Figures) -> dict[Any, float]:
        return {key: number for key, number in told.items() if re.search("_(total|bucket|count|sum)$", key[0])}

    with serving(tmp_path, "--sandbox", **variables) as served:
        order = shopify_order(1001)
        for number in range(12):
            served.post(shopify_order(3000 + number))
        for _ in range(7):
            served.post(order)

        def all_told() -> bool:
            told = scrapes(served.url, 8)
            return {value(each, "deliveries_delivered_total", store="shopify") for each in told} == {13.0}

        wait_until(all_told)
        assert len(served.children("web")) == 3  # the master and both workers
        told: list[Figures] = []

        def all_alike() -> bool:
            told[:] = scrapes(served.url, 12)
            return all(only_counters(each) == only_counters(told[0]) for each in told)

        wait_until(all_alike)  # each worker reads the database every few seconds
        assert value(told[0], "deliveries_kept_total", store="shopify") == 13
        assert value(told[0], "webhooks_duplicate_total", store="shopify") == 6
        served.process.terminate()
        served.process.wait(60)
    with serving(tmp_path, "--sandbox", **variables) as served:
        assert only_counters(scrapes(served.url, 1)[0]) == only_counters(told[0])


def test_both_formats_are_valid(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()
    plain = adapter.web.get("/metrics")
    assert plain.content_type.startswith("text/plain")
    modern = adapter.web.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.content_type.startswith("application/openmetrics-text")
    old, new = (
        {sample.name for family in families for sample in family.samples}
        for families in (
            parse_text(plain.get_data(as_text=True)),
            parse_openmetrics(modern.get_data(as_text=True)),  # type: ignore[no-untyped-call]
        )
    )
    assert old == new
    assert all(name.startswith("drip_adapter_") for name in old)


def test_no_personal_data_is_reported(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()
    text = adapter.web.get("/metrics").get_data(as_text=True) + json.dumps(adapter.web.get("/status").get_json())
    assert [word for word in ("ada.", "1001", "Lamp", "shop.example", ACCOUNT.token) if word in text] == []


def test_a_database_that_is_away_gives_503(tmp_path: Path) -> None:
    settings = replace(make_settings("http://127.0.0.1:1"), database_url=f"sqlite:///{tmp_path / 'no' / 'x.db'}")
    assert create_app(settings).test_client().get("/metrics").status_code == 503


class TestWhatIsShipped:
    """The Grafana dashboard and the alert rules use only metrics and labels that exist."""

    def expressions(self) -> list[str]:
        board = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
        asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        asked += [variable["definition"] for variable in board["templating"]["list"] if "definition" in variable]
        rules = yaml.safe_load((DOCS / "alert-rules.yml").read_text(encoding="utf-8"))
        asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
        assert len(asked) > 25
        return asked

    @pytest.fixture
    def told(self, adapter: AdapterUnderTest) -> Figures:
        TestWhatIsCounted().test_a_silent_store(adapter)
        with transaction(adapter.engine) as connection:
            counters.count(connection, "look_ups", store="shopify", source="storefront", outcome="found")
        assert Lease(adapter.engine, READER).acquire()
        adapter.post(shopify_order(1001))
        adapter.settle()
        return figures(adapter)

    @pytest.mark.slow
    def test_names_only_existing_metrics(self, told: Figures) -> None:
        names = {f"drip_adapter_{name}" for name, _ in told}
        assert {name for each in self.expressions() for name in re.findall(r"drip_adapter_\w+", each)} - names == set()

    def test_groups_and_filters_by_existing_labels(self, told: Figures) -> None:
        labels: dict[str, set[str]] = {}
        for name, pairs in told:
            labels.setdefault(f"drip_adapter_{name}", set()).update(label for label, _ in pairs)
        for each in self.expressions():
            [*names] = re.findall(r"drip_adapter_\w+", each)
            used = {label.strip() for group in re.findall(r"by \(([^)]*)\)", each) for label in group.split(",")}
            used |= set(re.findall(r"(\w+)=~?\"", each))
            for name in names:
                assert used <= labels[name], each

    def test_a_stopped_sender_is_missed_though_its_lease_has_no_age(self, adapter: AdapterUnderTest) -> None:
        for lease in (Lease(adapter.engine, READER), Lease(adapter.engine, ACCOUNT.id)):
            lease.acquire()
            lease.release()
        for sender in adapter.senders.values():
            sender._lease.release()
        told = names_told(adapter)
        assert {"reader_lease_age_seconds", "sender_lease_age_seconds"} & told == set()
        assert "account_paused" in told
        rules = yaml.safe_load((DOCS / "alert-rules.yml").read_text(encoding="utf-8"))
        asked = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
        assert "absent(drip_adapter_reader_lease_age_seconds)" in asked["DripAdapterNobodyReads"]
        missing = "drip_adapter_account_paused unless on (account) drip_adapter_sender_lease_age_seconds"
        assert missing in asked["DripAdapterNobodySends"]

    def test_exactly_the_existing_metrics_are_documented(self, told: Figures) -> None:
        table = (DOCS / "monitoring.md").read_text(encoding="utf-8").partition("| metric, after")[2].partition("\n\n")[0]
        explained = {
            name
            for row in table.splitlines()
            for name in re.findall(r"`(\w+)`", row.split("|")[1])
            if "_" in name or name in ("info", "verdict", "findings")
        }
        names = {re.sub("^(delivery_seconds)_(bucket|count|sum)$", r"\1", name) for name, _ in told}
        assert explained - {"drip_adapter_"} == names
