"""Reads the golden cases: folders of headers.json, payload.json and what is expected of them."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from mappings import PROVIDERS, Context, Options, Product, ProductKey, Provider

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
RECEIVED_AT = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def id(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.folder.parent.name]

    @property
    def payload(self) -> bytes:
        return (self.folder / "payload.json").read_bytes()

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self._json("headers.json").items()}

    @property
    def store(self) -> dict[str, Any]:
        return self._json("store.json") if (self.folder / "store.json").exists() else {}

    @property
    def known(self) -> list[Product]:
        """What a look-up would tell of the products."""
        rows = self._json("catalog.json") if (self.folder / "catalog.json").exists() else []
        return [
            Product(
                key=ProductKey(row.pop("product_id"), row.pop("variant_id", ""), row.pop("view", "")),
                categories=tuple(row.pop("categories", ())),
                tags=tuple(row.pop("tags", ())),
                **row,
            )
            for row in rows
        ]

    @property
    def expected(self) -> list[Any]:
        """One outcome for each order in the payload."""
        [name] = [name for name in ("drip.json", "skipped.json", "rejected.json") if (self.folder / name).exists()]
        outcome = self._json(name)
        return outcome if isinstance(outcome, list) else [outcome]

    @property
    def updated(self) -> dict[str, Any]:
        """How the body differs if Drip has the order already; empty if the case is not about that."""
        document: dict[str, Any] = self._json("updated.json") if (self.folder / "updated.json").exists() else {}
        return document

    @property
    def context(self) -> Context:
        address = {"store_url": f"https://{self.provider.name}-shop.example"} if self.provider.needs_address else {}
        settings = address | self.store
        if isinstance(settings.get("store_url"), dict):
            settings["store_urls"] = settings.pop("store_url")
        if "ignore_orders_before" in settings:
            settings["ignore_orders_before"] = datetime.fromisoformat(settings["ignore_orders_before"]).astimezone(UTC)
        known = {field.name for field in fields(Options)}
        assert set(settings) <= known, f"{self.id}: store.json names {set(settings) - known}"
        return Context(
            topic=self.provider.topic(self.headers),
            headers=self.headers,
            received_at=RECEIVED_AT,
            options=Options(public_url="https://adapter.example", **settings),
        )

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_bytes(), parse_float=Decimal)


CASES = [Case(path.parent) for path in sorted(FIXTURES.glob("*/*/payload.json"))]
