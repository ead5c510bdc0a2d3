"""Payloads and bodies are stored packed, and come back byte for byte."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, LargeBinary, func, select, text, type_coerce

from adapter import samples
from adapter.inbox import packing
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.erasure import flush, give_up
from adapter.inbox.group_commit import Keeper
from adapter.inbox.packing import Packed, Packing
from adapter.inbox.receiving import Arrival, keep
from adapter.inbox.tables import deliveries
from mappings import Key
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

pack, unpack = Packing(None).pack, Packing(None).unpack
ORDER = json.dumps(shopify_order(note="x" * 300)).encode()
OF_AN_EARLIER_VERSION = b'{"id": 1, "note": "' + b"y" * 200 + b'"}'
PACKED_BY_1 = bytes.fromhex("007a83ae9830d435325242f48d946a01")
"""`{"id":"1-22","email":""}` as the first version with packing stored it."""


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=20).map(lambda some: b"\x00" + some), st.text(max_size=200).map(str.encode)))
def test_whatever_is_packed_is_unpacked(content: bytes) -> None:
    packed = pack(content)
    assert unpack(packed) == content
    assert pack(packed) is packed
    assert len(packed) <= len(content) + 2


def test_an_order_takes_a_third_of_its_length() -> None:
    order = (Path(samples.__file__).parent / "shopify/lantern-placed/payload.json").read_bytes()
    assert len(pack(order)) < len(order) / 3


def test_the_dictionary_never_changes() -> None:
    assert sha256(packing._dictionary()).hexdigest() == "d61ccca7755c840c4a97b919cbdd6e3758a0aac0eb5f831e3a3b486d97086a58"
    assert unpack(PACKED_BY_1) == b'{"id":"1-22","email":""}'


def arrival(payload: bytes, key: str = "k") -> Arrival:
    return Arrival(store="shopify", key=Key(value=key, expires=False), topic="t", headers={}, payload=payload, at=datetime.now(UTC))


def test_a_payload_is_shorter_in_the_database_however_it_came_in(engine: Engine) -> None:
    Keeper(engine).keep(arrival(ORDER, "alone"))
    with transaction(engine) as connection:
        keep(connection, arrival(ORDER, "beside others"))
    with snapshot(engine) as connection:
        assert connection.execute(select(deliveries.c.payload)).scalars().all() == [ORDER, ORDER]
        assert max(connection.execute(select(func.length(type_coerce(deliveries.c.payload, LargeBinary)))).scalars()) < len(ORDER) / 2


@pytest.mark.parametrize("stored", [OF_AN_EARLIER_VERSION, b"", b"\x00 is no JSON"])
def test_what_an_earlier_version_stored_is_read_as_it_is(engine: Engine, stored: bytes) -> None:
    with transaction(engine) as connection:
        keep(connection, arrival(ORDER))
        connection.execute(text("UPDATE deliveries SET payload = :stored"), {"stored": stored})
    with snapshot(engine) as connection:
        assert connection.execute(select(deliveries.c.payload)).scalar_one() == stored
    assert unpack(Packed(stored)) == stored


def test_what_is_erased_is_gone_from_the_file(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's files are its own")
    with transaction(engine) as connection:
        new_id = keep(connection, arrival(ORDER)).delivery
    file = Path(engine.url.database or "")
    assert flush(engine)
    assert bytes(pack(ORDER)) in file.read_bytes()
    with transaction(engine) as connection:
        give_up(connection, new_id, "why", datetime.now(UTC))
    assert flush(engine)
    assert bytes(pack(ORDER)) not in file.read_bytes()


def test_what_an_earlier_version_took_for_no_json_is_read_again(adapter: AdapterUnderTest) -> None:
    adapter.post(ORDER)
    adapter.post(b"<orders>" + b"<order/>" * 50)
    adapter.read()
    with adapter.engine.begin() as connection:  # as a sender does that knows nothing of packing
        problems = json.dumps({"": ["not JSON: Expecting value at byte 0"]})
        connection.execute(
            deliveries.update().where(deliveries.c.id == 1).values(state="dead", problems=problems, settled_at=adapter.clock())
        )
    AdapterUnderTest(adapter.engine, adapter.settings, adapter.sandbox_url).settle()
    assert adapter.states() == ["delivered", "dead"]
