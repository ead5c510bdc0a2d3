"""After a shopper is forgotten, nothing remains but the fact that the orders were sent."""

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, update

from adapter.cli import main
from adapter.delivery.lease import Lease
from adapter.delivery.maintenance import Maintenance
from adapter.inbox import audit, search, sending
from adapter.inbox.accounts import READER
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.email_digests import digests_of, has_plain_digests, key_plain_digests, plain_digest
from adapter.inbox.erasure import FORGOTTEN
from adapter.inbox.keys import key_of, keyed_digest
from adapter.inbox.sending import Lane
from adapter.inbox.tables import deliveries, keys
from adapter.inbox.tables import forgotten as forgotten_table
from adapter.operations import forget
from adapter.operations.forget import Search, Shopper, erase_found
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, shopify_order
from tests.support.shoppers import EMAIL, NAME, flushed_traces, order_of, traces


def run(adapter: AdapterUnderTest, *arguments: str, answer: str = "") -> Result:
    url = adapter.engine.url.render_as_string(hide_password=False)
    environment = {"DATABASE_URL": url, "SHOPIFY_WEBHOOK_SECRET": "the-secret"}
    return CliRunner().invoke(main, ["forget", *arguments], env=environment, input=answer, catch_exceptions=False)


def forgotten(adapter: AdapterUnderTest, address: str = EMAIL) -> set[int]:
    search = Search(adapter.engine, Shopper(address=address))
    for _ in search.run():
        pass
    for _ in erase_found(adapter.engine, search.found, FORGOTTEN, adapter.clock()):
        pass
    return search.found


class TestTheCommand:
    def test_it_erases_everything_of_the_shopper_and_nothing_else(
        self, adapter: AdapterUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        adapter.post(order_of(1))
        adapter.post(order_of(2, email=EMAIL.upper()))
        adapter.post(shopify_order(3))
        adapter.settle()
        adapter.post(order_of(1, minutes=5, total="120.00"))
        adapter.settle()
        assert len(traces(adapter.engine)) >= 2
        result = run(adapter, EMAIL.lower(), "--yes")
        assert (result.exit_code, result.stdout) == (0, "3 deliveries of 2 orders erased; delete the person at Drip as well\n")
        with snapshot(adapter.engine) as connection:
            [noted] = audit.noted(connection, 9)
        assert (noted.actor, noted.action, noted.subject, noted.detail) == (
            "command line", "forgot a shopper", "3 deliveries of 2 orders", "",
        )  # fmt: skip
        assert flushed_traces(adapter.engine) == []
        assert adapter.states() == ["delivered"] * 4
        assert [row.order_id for row in adapter.rows() if row.payload] == ["3"]
        assert EMAIL.lower() not in (result.output + caplog.text).lower()

    def test_nothing_of_an_earlier_order_comes_back_and_a_new_one_is_sent(self, adapter: AdapterUnderTest) -> None:
        recorded = json.dumps(order_of(1, note="recorded, and never sent here")).encode()
        adapter.post(order_of(1))
        adapter.settle()
        assert run(adapter, EMAIL, "--yes").exit_code == 0
        late: dict[str, Any] = {"minutes": 5, "total": "130.00"}
        quoting = {**order_of(2, email="someone@else.example"), "note": f"a gift for <{EMAIL.upper()}>"}
        for again in (order_of(1), recorded, order_of(1, **late), quoting, b"not JSON, but of " + EMAIL.encode()):
            adapter.post(again)
            adapter.settle()
        assert adapter.states() == ["delivered"] + ["skipped:forgotten"] * 4
        assert flushed_traces(adapter.engine) == []
        placed = datetime.now(UTC) + timedelta(minutes=1)
        adapter.post(order_of(3, created_at=placed.isoformat(), processed_at=placed.isoformat(), updated_at=placed.isoformat()))
        adapter.settle()
        assert adapter.states()[-1] == "delivered"
        assert [order["order_id"] for order in adapter.received()] == ["1", "3"]

    @pytest.mark.parametrize("again", ["zoe\u0301@shop.example", "ZO\u00c9@Shop.Example", "\uff5ao\u00e9@shop.example"])
    def test_the_same_address_in_another_encoding_does_not_come_back(self, adapter: AdapterUnderTest, again: str) -> None:
        run(adapter, "zo\u00e9@shop.example", "--yes")
        adapter.post(order_of(1, email=again))
        adapter.settle()
        assert adapter.states() == ["skipped:forgotten"]

    @pytest.mark.parametrize("before", ["zoe\u0301@shop.example", "zo\u00e9@shop.example"])
    def test_the_digests_of_earlier_versions_still_count(self, adapter: AdapterUnderTest, before: str) -> None:
        with transaction(adapter.engine) as connection:
            digest = keyed_digest(key_of(connection, "forgotten"), f"\0{before}")
            connection.execute(insert(forgotten_table).values(digest=digest, at=adapter.clock()))
        for number, again in enumerate(("zoe\u0301@shop.example", "Zo\u00e9@shop.example"), 1):
            adapter.post(order_of(number, email=again))
            adapter.settle()
        assert adapter.states() == ["skipped:forgotten"] * 2

    def test_every_encoding_of_the_address_is_erased(self, adapter: AdapterUnderTest) -> None:
        for number, text in enumerate(("zoe\u0301@shop.example", "ZO\u00c9@shop.example", "zo\u00e9@shop.example.org"), 1):
            adapter.post({**shopify_order(number), "note": text})
        adapter.settle()
        assert forgotten(adapter, "zo\u00e9@shop.example") == {1, 2}

    def test_who_was_never_seen_is_remembered_too(self, adapter: AdapterUnderTest) -> None:
        assert run(adapter, EMAIL, "--yes").stdout == "Nothing is stored about this address.\n"
        adapter.post(order_of(1))
        adapter.settle()
        assert adapter.states() == ["skipped:forgotten"]

    def test_a_dry_run_remembers_nobody(self, adapter: AdapterUnderTest) -> None:
        assert run(adapter, EMAIL, "--dry-run").exit_code == 0
        adapter.post(order_of(1))
        adapter.settle()
        assert adapter.states() == ["delivered"]

    def test_of_a_page_only_the_shoppers_orders_are_erased(self, adapter: AdapterUnderTest) -> None:
        run(adapter, EMAIL, "--yes")
        adapter.post({"orders": [order_of(1), shopify_order(2)]})
        adapter.settle()
        assert adapter.states() == ["skipped:split", "skipped:forgotten", "delivered"]
        assert flushed_traces(adapter.engine) == []

    def test_it_asks_first_and_accepts_no(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        result = run(adapter, EMAIL, answer="n\n")
        assert result.exit_code == 1
        assert f"Erase what is stored about {EMAIL}: 1 delivery of 1 order? [y/N]" in result.stderr
        assert "deliveries.payload" in traces(adapter.engine)
        assert run(adapter, EMAIL, answer="y\n").exit_code == 0
        assert flushed_traces(adapter.engine) == []

    def test_a_dry_run_only_counts(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        assert run(adapter, EMAIL, "--dry-run").stdout == "1 delivery of 1 order would be erased\n"
        assert "deliveries.payload" in traces(adapter.engine)

    def test_nothing_found_is_no_failure(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1))
        adapter.settle()
        result = run(adapter, EMAIL)
        assert (result.exit_code, result.stdout) == (0, "Nothing is stored about this address.\n")

    def test_an_invalid_address_is_wrong_usage_and_not_quoted(self, adapter: AdapterUnderTest) -> None:
        result = run(adapter, "grace at navy")
        assert result.exit_code == 2
        assert "grace" not in result.output

    def test_unread_deliveries_are_read_first(self, adapter: AdapterUnderTest) -> None:
        """A page of orders is taken apart: the other shoppers' orders are not lost with it."""
        adapter.post({"orders": [shopify_order(1), order_of(2), shopify_order(3)]})
        assert run(adapter, EMAIL, "--yes").exit_code == 0
        assert flushed_traces(adapter.engine) == []
        adapter.settle()
        assert adapter.states() == ["skipped:split", "delivered", "dead", "delivered"]
        assert [order["order_id"] for order in adapter.received()] == ["1", "3"]

    def test_a_reader_at_work_is_not_disturbed(self, adapter: AdapterUnderTest) -> None:
        lease = Lease(adapter.engine, READER)
        assert lease.acquire()
        adapter.post(shopify_order(1))
        assert run(adapter, EMAIL).exit_code == 0
        assert adapter.row(1).read_at is None


class TestWhatIsFound:
    @pytest.mark.parametrize(
        "more",
        [
            {"note": f"please write to {EMAIL.upper()}, thanks"},
            {"note": f"mailto:{EMAIL}"},
            {"note": f"{EMAIL}."},
            {"contact_email": EMAIL},
            {"landing_site": f"/?email={EMAIL.replace('@', '%40')}&x=1"},
            {EMAIL: "as a key"},
            {"deep": [{"er": [[EMAIL]]}]},
        ],
    )
    def test_the_address_anywhere_in_a_payload(self, adapter: AdapterUnderTest, more: dict[str, Any]) -> None:
        adapter.post(shopify_order(1, **more))
        adapter.post(shopify_order(2))
        adapter.settle()
        assert forgotten(adapter) == {1}
        assert flushed_traces(adapter.engine, EMAIL) == []

    @pytest.mark.parametrize(
        ("payload", "found"),
        [
            (b'{"id": 1, "a": "grace.hopper\\u0040navy.example"}', True),
            (b'{"id": 1, "a": "\\u0067race.hopper@navy.example"}', True),
            (b"not json: GRACE.HOPPER@NAVY.EXAMPLE", True),
            (b'broken {"a": "grace.hopper\\u0040navy.example', True),
            (b"\xff\xfe grace.hopper@navy.example", True),
            (b'{"id": 1, "a": "dr.grace.hopper@navy.example"}', False),
            (b'{"id": 1, "a": "grace.hopper@navy.example.org"}', False),
            (b'{"id": 1, "a": "grace-hopper@navy.example"}', False),
            (b"{}", False),
        ],
    )
    def test_in_every_escaping_and_no_longer_address(self, payload: bytes, found: bool) -> None:
        assert Shopper(address=EMAIL).is_in(payload) is found

    def test_a_payload_nested_as_deep_as_can_be(self) -> None:
        assert Shopper(address=EMAIL).is_in(b"[" * 900 + json.dumps(EMAIL).encode() + b"]" * 900)

    def test_other_deliveries_of_the_same_order(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1, email="other@shop.example"))
        adapter.post(order_of(1, minutes=1))
        adapter.settle()
        assert forgotten(adapter) == {1, 2}
        assert flushed_traces(adapter.engine) == []

    def test_a_split_body_that_held_it(self, adapter: AdapterUnderTest) -> None:
        adapter.post({"orders": [shopify_order(1), order_of(2)]})
        adapter.settle()
        assert forgotten(adapter) == {1, 3}
        assert flushed_traces(adapter.engine) == []
        assert [row.id for row in adapter.rows() if row.payload] == [2]

    def test_a_body_whose_payload_is_erased_already(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).values(payload=None, email_digest=None))
        assert forgotten(adapter) == {1}
        assert flushed_traces(adapter.engine) == []

    def test_what_is_no_order_and_what_is_broken(self, adapter: AdapterUnderTest) -> None:
        adapter.post({"id": 5, "order_id": 1, "note": EMAIL}, topic="refunds/create")
        adapter.post(f'{{"broken": "{EMAIL}'.encode())
        adapter.settle()
        assert forgotten(adapter) == {1, 2}
        assert flushed_traces(adapter.engine) == []
        assert adapter.states() == ["skipped:not_an_order", "dead"]

    def test_drips_error_messages(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=422, body={"errors": [{"attribute": "email", "message": f"{EMAIL} of {NAME} bounces"}]})
        adapter.post(order_of(1))
        adapter.settle()
        forgotten(adapter)
        assert flushed_traces(adapter.engine) == []
        [attempt] = adapter.attempts(1)
        assert json.loads(attempt.answer) == {"what": "Drip answered 422"}

    @pytest.mark.slow
    def test_many_pieces(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(forget, "_AT_ONCE", 2)
        monkeypatch.setattr(forget, "_PIECE", 2)
        for number in range(1, 10):
            adapter.post(shopify_order(number, note=EMAIL if number % 2 else None))
        adapter.settle()
        assert forgotten(adapter) == {1, 3, 5, 7, 9}
        assert flushed_traces(adapter.engine, EMAIL) == []


class TestWhatWaits:
    def test_it_is_dead_and_says_why(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        adapter.post(order_of(1))
        adapter.settle()
        assert adapter.states() == ["pending"]
        forgotten(adapter)
        assert flushed_traces(adapter.engine) == []
        [row] = adapter.rows()
        assert (row.state, json.loads(row.problems), row.attempts) == ("dead", {"": [FORGOTTEN]}, 1)
        adapter.drip_recovers()
        adapter.clock.advance(days=1)
        adapter.settle()
        assert adapter.received() == []

    def test_the_others_go_on(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        adapter.post(order_of(1))
        adapter.post(shopify_order(2))
        adapter.settle()
        forgotten(adapter)
        adapter.drip_recovers()
        adapter.clock.advance(days=1)
        adapter.settle()
        assert adapter.states() == ["dead", "delivered"]

    def test_a_copy_of_it_does_not_open_it(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1), webhook_id="w")
        forgotten(adapter)
        assert adapter.post(order_of(1), webhook_id="w").json == {"delivery": "1", "status": "duplicate"}
        adapter.settle()
        assert adapter.states() == ["dead"]
        assert flushed_traces(adapter.engine) == []

    def test_one_that_was_being_read_stays_erased(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter.post(order_of(1))
        during(monkeypatch, adapter.reader, "_interpret", lambda: forgotten(adapter))
        adapter.read()
        assert adapter.states() == ["dead"]
        assert adapter.row(1).email_digest is None
        assert flushed_traces(adapter.engine) == []

    def test_one_that_was_being_prepared_is_not_sent(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter.post(order_of(1))
        adapter.read()
        [sender] = adapter.senders.values()
        prepare = sender._preparer.prepare

        def prepare_and_forget(queues: Any) -> Any:
            posts = list(prepare(queues))
            forgotten(adapter)
            return posts

        monkeypatch.setattr(sender._preparer, "prepare", prepare_and_forget)
        sender.step()
        assert adapter.received() == []
        assert flushed_traces(adapter.engine) == []
        assert adapter.states() == ["dead"]

    def test_a_split_body_that_was_being_read_leaves_no_parts(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter.post({"orders": [order_of(1)]})
        during(monkeypatch, adapter.reader, "_interpret", lambda: forgotten(adapter))
        adapter.read()
        assert flushed_traces(adapter.engine) == []

    def test_one_that_drip_refused_is_not_taken_back(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=422, body={"errors": [{"attribute": "items", "message": "no"}]})
        adapter.post(order_of(1))
        adapter.settle()
        forgotten(adapter)
        for number in range(2, 12):
            adapter.post(shopify_order(number))
        adapter.settle()
        assert adapter.states()[:2] == ["dead", "pending"]
        assert adapter.trouble().pause_reason

    def test_what_drip_has_is_remembered(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        forgotten(adapter)
        with snapshot(adapter.engine) as connection:
            assert sending.what_drip_has(connection, ACCOUNT.id, [Lane("shopify", "1")])


def during(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, also: Callable[[], Any]) -> None:
    """Let something happen while a method is at work for the first time."""
    method = getattr(owner, name)

    def both(*args: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        result = method(*args)
        also()
        return result

    monkeypatch.setattr(owner, name, both)


class TestSearchedBy:
    def test_number_and_digest_are_written_when_it_is_read(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1, email=f" {EMAIL.upper()} "))
        adapter.post(shopify_order(2, name="#" + "9" * 300, email=""))
        adapter.read()
        first, second = adapter.rows()
        with snapshot(adapter.engine) as connection:
            assert digests_of(connection, EMAIL.lower()) == [first.email_digest]
        assert first.order_number == "1"
        assert (second.order_number, second.email_digest) == ("9" * 255, None)

    def test_the_digest_is_keyed(self, adapter: AdapterUnderTest) -> None:
        with transaction(adapter.engine) as connection:
            connection.execute(insert(keys).values(name="email", value=b"k" * 32))
        adapter.post(order_of(1, email="Ada@Example.com"))
        adapter.read()
        # printf ada@example.com | sha256sum; printf of its digits | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
        assert adapter.row(1).email_digest == "kf206d3381c6f8bd11d6654169efc7a3b"

    def test_the_plain_digest_is_of_the_usable_address_in_lower_case(self) -> None:
        # printf ada@example.com | sha256sum
        assert plain_digest(" Ada@Example.com ") == "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72"
        assert plain_digest("nobody") is None

    def test_plain_digests_of_earlier_versions_are_found_and_replaced(self, adapter: AdapterUnderTest) -> None:
        addresses = {1: EMAIL.lower(), 2: "zoe\u0301@shop.example", 3: EMAIL.lower(), 4: "bea@shop.example"}
        for number, address in addresses.items():
            adapter.post(order_of(number, email=address))
        adapter.settle()
        with transaction(adapter.engine) as connection:
            for number in (1, 2):
                plain = hashlib.sha256(addresses[number].encode()).hexdigest()
                connection.execute(update(deliveries).where(deliveries.c.id == number).values(email_digest=plain))
        assert self.found(adapter, EMAIL) == [1, 3]
        assert self.found(adapter, "zo\u00e9@shop.example") == [2]
        with transaction(adapter.engine) as connection:
            key_plain_digests(connection, 1)
            assert has_plain_digests(connection)
        assert self.found(adapter, EMAIL) == [1, 3]
        maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
        while maintenance.step():
            pass
        with snapshot(adapter.engine) as connection:
            assert not has_plain_digests(connection)
        assert [row.email_digest[0] for row in adapter.rows()] == ["k"] * 4
        assert self.found(adapter, EMAIL) == [1, 3]
        assert self.found(adapter, "Zo\u00e9@shop.example") == [2]

    def found(self, adapter: AdapterUnderTest, address: str) -> list[int]:
        with snapshot(adapter.engine) as connection:
            digests = digests_of(connection, address)
            return sorted(row.id for row in search.listed(connection, search.filtered(email_digests=digests), 9))


def test_time_passes_while_it_searches(adapter: AdapterUnderTest) -> None:
    """What arrives during the search is found too: rows are looked through in the order in which they came."""
    adapter.post(order_of(1))
    adapter.settle()
    search = Search(adapter.engine, Shopper(address=EMAIL))
    pieces = search.run()
    next(pieces)
    adapter.post(order_of(2))
    adapter.clock.now += timedelta(seconds=1)
    for _ in pieces:
        pass
    assert search.found == {1, 2}
    assert search.seen == search.total
