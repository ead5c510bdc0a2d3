"""Mapping from a payload's bytes to the bytes of Drip's body, as CPU time on one core, beside `json.loads` of the same payload.

python -m tests.benchmarks.mapping                          the golden cases, each with 1, 5 and 50 items
python -m tests.benchmarks.mapping shopify my-order.json    a payload of yours
"""

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mappings import PROVIDERS, Context, Options, Provider, encode, outcomes
from tests.benchmarks.results import Row, spread
from tests.support.fixture_cases import FIXTURES

ITEMS = (1, 5, 50)
# Orders of about 12 kB; WooCommerce's and BigCommerce's are shorter, since these platforms send less with each line.
_CASES = {
    "shopify": "fulfilled-with-tracking",
    "magento": "configurable-product",
    "woocommerce": "product-bundle",
    "bigcommerce": "bundle-and-custom-line",
}
_LINES = ("line_items", "items", "products", "consignments")
_ROUND_S = 0.02


def measure(*, rounds: int = 7, items: tuple[int, ...] = ITEMS) -> list[Row]:
    """The golden cases of all platforms."""
    return [
        row for name, case in _CASES.items() for row in measured(PROVIDERS[name], FIXTURES / name / case / "payload.json", rounds, items)
    ]


def measured(provider: Provider, file: Path, rounds: int, items: tuple[int, ...]) -> list[Row]:
    """One payload with so many items each time; caches are warm, as in a sender that runs."""
    options = Options(store_url="https://store.example", public_url="https://adapter.example")
    context = Context(received_at=datetime.now(UTC), options=options)
    rows = []
    for count, payload in _with_items(json.loads(file.read_bytes()), items):
        [outcome] = outcomes(provider, payload, context)
        if "order_id" not in outcome:
            raise ValueError(f"{file}: {outcome}")
        ours = _in_rounds(partial(_mapped, provider, payload, context), rounds)
        parse = _in_rounds(partial(json.loads, payload), rounds)
        ratios = [one / other for one, other in zip(ours, parse, strict=True)]
        rows.append(
            {
                "platform": provider.title,
                "items": count,
                "bytes": len(payload),
                "map_us": round(statistics.median(ours) * 1e6),
                **spread(ratios),
            }
        )
    return rows


def _mapped(provider: Provider, payload: bytes, context: Context) -> list[bytes]:
    return [encode(outcome) for outcome in outcomes(provider, payload, context)]


def _with_items(document: Any, items: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    order = next((document[name] for name in ("order", "data") if isinstance(document.get(name), dict)), document)
    name = next(name for name in _LINES if isinstance(order.get(name), list))
    lines = [line for line in order[name] if not _belongs_to_another(line)]
    for count in items:
        order[name] = [_renumbered(lines[number % len(lines)], number) for number in range(count)]
        yield count, json.dumps(document, separators=(",", ":")).encode()


def _belongs_to_another(line: Mapping[str, Any]) -> bool:
    return bool(line.get("parent_item_id") or line.get("parent_order_product_id"))


def _renumbered(line: Mapping[str, Any], number: int) -> dict[str, Any]:
    own = "item_id" if "item_id" in line else "id"
    return {**copy.deepcopy(dict(line)), own: 1000 + number}


def _in_rounds(work: Callable[[], Any], rounds: int) -> list[float]:
    """CPU seconds for one run of the work, once for each round."""
    started = time.process_time()
    work()
    runs = max(1, int(_ROUND_S / max(time.process_time() - started, 1e-6)))
    took = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(runs):
            work()
        took.append((time.process_time() - started) / runs)
    return took


def main(provider: str = "", *files: str) -> None:
    """Measure and print."""
    rows = [row for file in files for row in measured(PROVIDERS[provider], Path(file), 7, ITEMS)] if files else measure()
    for row in rows:
        print(f"{row['platform']:12} {row['items']:>3} items {row['bytes']:>7,} bytes {row['map_us']:>6,} us  {row['ratio']} x json.loads")


if __name__ == "__main__":
    main(*sys.argv[1:])
