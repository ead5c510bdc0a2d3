"""Drip's place for a measurement with many accounts: accepts everything at once, except for accounts for which it never answers.

The sandbox, which checks what it is sent, needs a thread for each request that waits; this needs none.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

_ACCOUNT = 2
"""Where the account stands in a path: /v2/accounts/<account>, /v3/<account>/shopper_activity/order."""


class Drip:
    """What arrived, by the order's id; `hanging` are the accounts whose requests are read and never answered."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.arrived: dict[str, datetime] = {}
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1].split("/")
        length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        account = path[3] if path[1] == "v2" else path[_ACCOUNT]
        if account in self.hanging:
            await reader.read()  # until the client leaves
            raise ConnectionResetError
        answer = {"accounts": [{"id": account}]} if path[1] == "v2" else self._accepted(json.loads(body))
        sent = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 202 Accepted\r\n" if path[1] == "v3" else b"HTTP/1.1 200 OK\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(sent), sent))
        await writer.drain()

    def _accepted(self, posted: dict[str, object]) -> dict[str, object]:
        orders = posted.get("orders", [posted])
        assert isinstance(orders, list)
        self.arrived |= {order["order_id"]: datetime.now(UTC) for order in orders}
        return {"request_ids": ["r"] * len(orders)} if "orders" in posted else {"request_id": "r"}


@contextmanager
def drip() -> Iterator[Drip]:
    """Serve from a thread."""
    standing_in, loop, started = Drip(), asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        server = await asyncio.start_server(standing_in.serve, "127.0.0.1", 0)
        standing_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(5)
    try:
        yield standing_in
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
