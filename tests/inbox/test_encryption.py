"""With PAYLOAD_KEYS nothing of a shopper can be read in the database; rows of before, older keys and lost keys are provided for."""

import base64
import json
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, LargeBinary, select, type_coerce

from adapter.cli import main
from adapter.inbox import packing
from adapter.inbox.database import snapshot
from adapter.inbox.encryption import Keyring
from adapter.inbox.packing import LOCKED, Packing, is_locked
from adapter.inbox.tables import attempts, deliveries
from adapter.operations.health import read_health
from adapter.settings.secrets import payload_key
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, make_settings, shopify_order
from tests.support.shoppers import EMAIL, NAME, order_of, traces

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
Start = Callable[..., AdapterUnderTest]


@pytest.fixture
def start(engine: Engine, sandbox_url: str) -> Iterator[Start]:
    """Starts the adapter anew on the same database, with these keys."""

    starts = count()

    def with_keys(*keys: bytes) -> AdapterUnderTest:
        packing._OF_DATABASES[engine.dialect] = Packing(Keyring(keys) if keys else None)
        adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
        adapter.clock.advance(minutes=10 * next(starts))  # whatever waited for a key is due
        return adapter

    yield with_keys
    with_keys()


def command(adapter: AdapterUnderTest, *arguments: str, keys: tuple[bytes, ...] = ()) -> Result:
    url = adapter.engine.url.render_as_string(hide_password=False)
    known = {"DATABASE_URL": url, "SHOPIFY_WEBHOOK_SECRET": SECRET, "PAYLOAD_KEYS": ", ".join(key.hex() for key in keys)}
    return CliRunner().invoke(main, list(arguments), env=known)


def stored(engine: Engine) -> list[bytes]:
    columns = (deliveries.c.payload, attempts.c.body)
    with snapshot(engine) as connection:
        return [one for column in columns for one in connection.execute(select(type_coerce(column, LargeBinary))).scalars()]


def test_nothing_of_a_shopper_can_be_read_in_the_database(start: Start) -> None:
    adapter = start(OLD)
    adapter.post(order_of(1))
    adapter.settle()
    assert adapter.states() == ["delivered"]
    assert json.loads(adapter.row(1).payload)["email"] == EMAIL
    assert [one[:6] for one in stored(adapter.engine)] == [b"\x00e" + Keyring([OLD]).ids[0]] * 2
    without = start()
    assert traces(without.engine, NAME, "Hopper@navy") == []
    assert is_locked(without.row(1).payload)


def test_what_was_stored_before_there_was_a_key_is_read_and_can_be_encrypted(start: Start) -> None:
    start().post(order_of(1))
    adapter = start(OLD)
    adapter.post(order_of(2))
    adapter.settle()
    assert adapter.states() == ["delivered"] * 2
    limited = command(adapter, "encrypt", "--limit", "1", keys=(OLD,))
    assert limited.stdout == "1 payload or body encrypted with the first key; there may be more\n"
    assert command(adapter, "encrypt", keys=(OLD,)).stdout == "0 payloads and bodies encrypted with the first key\n"
    assert {one[:2] for one in stored(adapter.engine)} == {b"\x00e"}
    assert [json.loads(row.payload)["id"] for row in adapter.rows()] == [1, 2]


def test_keys_rotate(start: Start) -> None:
    start(OLD).post(order_of(1))
    adapter = start(NEW, OLD)
    adapter.post(order_of(2))
    adapter.settle()
    assert adapter.states() == ["delivered"] * 2
    assert command(adapter, "encrypt", keys=(NEW, OLD)).stdout == "1 payload or body encrypted with the first key\n"
    adapter = start(NEW)
    assert [json.loads(row.payload)["id"] for row in adapter.rows()] == [1, 2]


@pytest.mark.parametrize("read_before", [True, False])
def test_without_the_key_a_delivery_waits_and_the_others_are_sent(
    start: Start, caplog: pytest.LogCaptureFixture, read_before: bool
) -> None:
    adapter = start(OLD)
    adapter.post(shopify_order(1))
    if read_before:
        adapter.read()
    adapter = start(NEW)
    adapter.post(shopify_order(2))
    adapter.settle()
    assert adapter.states() == ["pending", "delivered"]
    assert LOCKED in caplog.text
    with snapshot(adapter.engine) as connection:
        findings = read_health(connection, adapter.settings, adapter.clock()).findings
    assert [(finding.status, finding.store) for finding in findings if finding.code == "locked"] == [("stuck", "shopify")]
    adapter = start(NEW, OLD)
    adapter.settle()
    assert adapter.states() == ["delivered"] * 2


def test_a_body_whose_outcome_is_unknown_waits_for_its_key(start: Start) -> None:
    adapter = start(OLD)
    adapter.post(shopify_order(1))
    adapter.settle()
    with adapter.engine.begin() as connection:
        connection.execute(attempts.update().values(outcome=None))
        connection.execute(deliveries.update().values(state="pending", settled_at=None))
    adapter = start(NEW)
    adapter.settle()
    assert adapter.states() == ["pending"]
    adapter = start(OLD)
    adapter.settle()
    assert adapter.states() == ["delivered"]


class TestWithoutTheKey:
    @pytest.fixture
    def locked(self, start: Start) -> AdapterUnderTest:
        """A delivered order whose key is lost."""
        adapter = start(OLD)
        adapter.post(order_of(1))
        adapter.settle()
        return start(NEW)

    def test_commands_say_so(self, locked: AdapterUnderTest) -> None:
        shown = command(locked, "deliveries", "show", "1", keys=(NEW,))
        assert shown.exit_code == 0
        assert LOCKED in shown.stdout
        payload = command(locked, "deliveries", "show", "1", "--payload")
        assert (payload.exit_code, payload.stderr) == (1, f"Error: the payload of delivery 1 can't be read: {LOCKED}\n")
        encrypted = command(locked, "encrypt", keys=(NEW,))
        assert (encrypted.exit_code, encrypted.stderr) == (1, f"Error: 2 payloads and bodies can't be read: {LOCKED}\n")
        assert [one[2:6] for one in stored(locked.engine)] == [Keyring([OLD]).ids[0]] * 2

    def test_a_search_for_a_shopper_is_not_complete(self, locked: AdapterUnderTest) -> None:
        result = command(locked, "forget", "somebody@else.example", "--yes", keys=(NEW,))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "1 delivery could not be searched" in result.stderr
        found = command(locked, "forget", EMAIL, "--yes", keys=(NEW,))  # by the digest of the address
        assert found.exit_code == 0
        assert stored(locked.engine) == [None, None]

    def test_check_says_so(self, locked: AdapterUnderTest) -> None:
        assert f"1 of the oldest and newest payloads can't be read: {LOCKED}" in command(locked, "check").stdout
        assert "can't be read" not in command(locked, "check", keys=(NEW, OLD)).stdout


def test_check_says_whether_encryption_is_on(start: Start) -> None:
    adapter = start()
    adapter.post(shopify_order(1))
    assert "payloads are not encrypted (PAYLOAD_KEYS)" in command(adapter, "check").stdout
    assert "run drip-adapter encrypt" in command(adapter, "check", keys=(OLD,)).stdout
    assert command(adapter, "encrypt", keys=(OLD,)).exit_code == 0
    encrypted = command(adapter, "check", keys=(OLD,)).stdout
    assert "payloads are encrypted" in encrypted
    assert "drip-adapter encrypt" not in encrypted
    assert "PAYLOAD_KEYS is not set" in command(adapter, "encrypt").stderr


def test_bytes_that_were_changed_are_not_opened() -> None:
    keyring = Keyring([OLD])
    encrypted = keyring.encrypt(b"content")
    assert keyring.decrypt(encrypted) == b"content"
    for place in (0, 5, len(encrypted) - 1):
        assert keyring.decrypt(encrypted[:place] + bytes([encrypted[place] ^ 1]) + encrypted[place + 1 :]) is None
    assert keyring.decrypt(encrypted[:10]) is None


@pytest.mark.parametrize("text", [OLD.hex(), OLD.hex().upper(), base64.b64encode(OLD).decode(), base64.urlsafe_b64encode(OLD).decode()])
def test_a_key_is_32_bytes_in_hexadecimal_or_base64(text: str) -> None:
    assert payload_key(f" {text}\n") == OLD
    assert payload_key(text[:-2]) is None
    assert payload_key("a password") is None
