"""How many bytes of database an order takes, by table and index: from the webhook to the delivered row.

python -m tests.benchmarks.disk --orders 2000
"""

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, text

from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from adapter.sandbox import running_sandbox
from tests.benchmarks.databases import both_databases
from tests.benchmarks.results import Row, print_rows
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, shopify_order

_PAYLOAD_BYTES = 4000
_PRODUCTS = 50
_TOGETHER = 5
_SQLITE = "SELECT name, SUM(pgsize) FROM dbstat WHERE name NOT LIKE 'sqlite_s%' GROUP BY name"
_POSTGRESQL = """
    SELECT relname, pg_relation_size(oid) + COALESCE(pg_total_relation_size(NULLIF(reltoastrelid, 0)), 0)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""


def main() -> None:
    """Post, read and deliver so many orders on each database, and print the bytes each of them takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    with both_databases() as urls:
        print_rows(measure({name: urls[name] for name in options.databases}, orders=options.orders))


def measure(urls: dict[str, str], *, orders: int = 500) -> list[Row]:
    """One row for each database: the bytes of an order's payload, those of the database, and those of each table and index."""
    rows: list[Row] = []
    with running_sandbox(enforce_limits=False) as sandbox:
        for database, url in urls.items():
            engine = connect(url)
            migrate(engine)
            before = _sizes(engine)
            sent = _deliver(engine, url, sandbox.url, orders)
            each = {name: round((size - before.get(name, 0)) / orders) for name, size in _sizes(engine).items()}
            largest = sorted(each.items(), key=lambda entry: -entry[1])[:4]
            where = ", ".join(f"{name} {size:,}" for name, size in largest)
            rows.append({"database": database, "payload": round(sent / orders), "bytes an order": sum(each.values()), "of which": where})
            engine.dispose()
    return rows


def _deliver(engine: Engine, url: str, drip_url: str, count: int) -> int:
    """Bytes of all payloads."""
    settings = replace(make_settings(drip_url), database_url=url, single_requests_per_hour=10 * count)
    adapter = AdapterUnderTest(engine, settings, drip_url)
    chance, sent = random.Random(1), 0
    for number in range(count):
        payload = json.dumps(order_of(_PAYLOAD_BYTES, number, chance)).encode()
        sent += len(payload)
        assert adapter.post(payload, webhook_id=f"{chance.getrandbits(128):032x}").status_code == 200
        if number % _TOGETHER == _TOGETHER - 1:
            adapter.settle()
    assert set(adapter.states()) == {"delivered"}, set(adapter.states())
    return sent


def order_of(size: int, number: int, chance: random.Random) -> dict[str, Any]:
    """An order of about so many bytes whose items, addresses and names differ from all others."""
    token: Callable[[int], str] = lambda length: "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))  # noqa: E731
    order = shopify_order(5_000_000_000 + number, total="0.00", email=f"{token(9)}@{token(7)}.example")
    order["billing_address"] = {
        "first_name": token(6), "last_name": token(8), "address1": f"{chance.randrange(900)} {token(9)}",
        "phone": f"+49{chance.getrandbits(32)}",
        "city": token(8), "zip": str(chance.randrange(90_000)), "province": token(7), "country": "Germany", "company": None,
        "country_code": "DE", "name": token(14), "latitude": chance.random() * 90, "longitude": chance.random() * 90,
    }  # fmt: skip
    order["line_items"], total = [], 0
    while len(json.dumps(order)) < size - 400:
        cents = chance.randrange(100, 20_000)
        total += cents
        order["line_items"].append(_item(f"{cents / 100:.2f}", token, chance))
    order["total_price"] = order["current_total_price"] = f"{total / 100:.2f}"
    return order


def _item(price: str, token: Callable[[int], str], chance: random.Random) -> dict[str, Any]:
    product = 7_000_000_000 + chance.randrange(_PRODUCTS)
    return {
        "id": chance.getrandbits(44), "product_id": product, "variant_id": product + 7, "title": token(24), "variant_title": token(8),
        "sku": token(10).upper(), "price": price, "quantity": 1, "grams": chance.randrange(4000), "vendor": token(9),
        "admin_graphql_api_id": f"gid://shopify/LineItem/{chance.getrandbits(44)}", "fulfillment_service": "manual",
        "fulfillment_status": None, "gift_card": False, "product_exists": True, "requires_shipping": True, "taxable": True,
        "tax_lines": [], "total_discount": "0.00", "variant_inventory_management": "shopify", "properties": [],
        "price_set": {name: {"amount": price, "currency_code": "USD"} for name in ("shop_money", "presentment_money")},
    }  # fmt: skip


def _sizes(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(text(_SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL))
        return {row[0]: int(row[1]) for row in rows}


if __name__ == "__main__":
    main()
