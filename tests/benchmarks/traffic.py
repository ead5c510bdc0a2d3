"""Webhooks posted one by one, and the orders that arrived at the sandbox."""

import itertools
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import requests

from tests.support.adapter_under_test import shopify_order, signed

_numbers = itertools.count(int(time.time()) % 1_000_000 * 1000)


class Shop:
    """A Shopify store: posts orders, each of them new."""

    def __init__(self, *urls: str, store: str = "shopify") -> None:
        self._urls = itertools.cycle([f"{url}/webhooks/{store}" for url in urls])
        self._session = requests.Session()

    def post(self) -> tuple[str, datetime]:
        """Post an order; its id, and when it was acknowledged."""
        number = next(_numbers)
        payload = json.dumps(shopify_order(number, note="x" * 3400)).encode()
        headers = {**signed(payload), "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": f"bench-{number}"}
        answer = self._session.post(next(self._urls), payload, headers=headers, timeout=20)
        answer.raise_for_status()
        return str(number), datetime.now(UTC)

    def post_evenly(self, a_second: float, seconds: float) -> dict[str, datetime]:
        """Post so many orders a second; when each was acknowledged, by id."""
        begun, posted = time.monotonic(), {}
        for number in range(int(a_second * seconds)):
            time.sleep(max(0.0, begun + number / a_second - time.monotonic()))
            order_id, at = self.post()
            posted[order_id] = at
        return posted


def arrived(drip_url: str) -> dict[str, datetime]:
    """When each order was received at the sandbox, by id."""
    entries: Sequence[dict[str, Any]] = requests.get(f"{drip_url}/received", timeout=30).json()["orders"]
    return {entry["order_id"]: datetime.fromisoformat(entry["received_at"]) for entry in entries}


def wait_for(drip_url: str, count: int, within_s: float) -> bool:
    """Wait until so many orders are at the sandbox; whether they are."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if requests.get(f"{drip_url}/received?limit=0", timeout=30).json()["total"] >= count:
            return True
        time.sleep(0.1)
    return False
