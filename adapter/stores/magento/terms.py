"""The names of brands and categories. Magento's products contain only their ids."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.magento.client import Client, magento_id
from mappings.core.text import plain

_NEED_PRODUCTS = "Catalog > Inventory > Products"
_NEED_CATEGORIES = "Catalog > Inventory > Categories"
_KEPT_S = 3600.0
_LONGEST_NAME = 255
_MOST_NAMES = 50
_MOST_KEPT = 20_000
# Levels 0 and 1 are the roots of the category tree, which shoppers don't see.
_FIRST_LEVEL = 2


class Terms:
    """The names for ids, in each store view; requested at most once an hour. Not thread-safe."""

    def __init__(self, client: Client, brand_attribute: str) -> None:
        self._client = client
        self._brand_attribute = brand_attribute
        self._labels: dict[str, Mapping[str, str]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._kept_until = 0.0

    def learn(self, scope: str, rows: Iterable[Mapping[str, Any]], deadline: Deadline) -> None:
        """Look up the names of these products' brands and categories that aren't known yet, within the deadline."""
        if self._kept_until < time.monotonic() or len(self._names) > _MOST_KEPT:
            self._labels, self._names, self._kept_until = {}, {}, time.monotonic() + _KEPT_S
        products = list(rows)
        # A failure must not lose the products' pages and images, which are known by now.
        with suppress(StoreTrouble):
            if scope not in self._labels and any(self._values(row) for row in products):
                self._labels[scope] = self._ask_labels(scope, deadline)
        with suppress(StoreTrouble):
            unknown = {one for row in products for one in _category_ids(row) if (scope, one) not in self._names}
            if unknown:
                self._learn_categories(scope, sorted(unknown, key=int), deadline)

    def brand(self, scope: str, row: Mapping[str, Any]) -> str:
        """The label of a product's brand; the attribute's own text if it has no options."""
        labels = self._labels.get(scope)
        if labels is None:
            return ""
        return next((name for value in self._values(row) if (name := _name(labels.get(value, "") if labels else value))), "")

    def categories(self, scope: str, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of a product's categories."""
        names = (self._names.get((scope, one), "") for one in _category_ids(row))
        return tuple(dict.fromkeys(name for name in names if name))[:_MOST_NAMES]

    def _values(self, row: Mapping[str, Any]) -> list[str]:
        """The values of a product's brand attribute: the id of an option, several ids, or text."""
        listed = row.get("custom_attributes")
        held: Any = next(
            (
                each.get("value")
                for each in (listed if isinstance(listed, list) else ())
                if isinstance(each, dict) and each.get("attribute_code") == self._brand_attribute
            ),
            None,
        )
        if not isinstance(held, (str, int)) or isinstance(held, bool) or not str(held).strip():
            return []
        return [str(held).strip(), *(part.strip() for part in str(held).split(",")[:_MOST_NAMES])]

    def _ask_labels(self, scope: str, deadline: Deadline) -> dict[str, str]:
        path = f"products/attributes/{quote(self._brand_attribute, safe='')}/options"
        answer = self._client.ask(scope, path, {}, deadline, need=_NEED_PRODUCTS)
        if answer.status in (400, 404):  # there is no such attribute, or it has no options
            return {}
        if not isinstance(answer.document, list):
            raise self._client.unexpected(answer, f"the options of {self._brand_attribute}")
        options = [option for option in answer.document if isinstance(option, dict)]
        return {
            str(option["value"]): option["label"]
            for option in options
            if isinstance(option.get("label"), str) and isinstance(option.get("value"), (str, int)) and str(option["value"]).strip()
        }

    def _learn_categories(self, scope: str, ids: Sequence[str], deadline: Deadline) -> None:
        params = {"fields": "items[id,name,level,is_active]"}
        rows = self._client.by_ids(scope, "categories/list", ids, deadline, need=_NEED_CATEGORIES, params=params)
        self._names |= {(scope, one): "" for one in ids}  # a deleted one isn't requested again
        for row in rows:
            if isinstance(row, dict) and isinstance(row.get("name"), str) and row.get("is_active") is not False:
                level = row.get("level")
                shown = isinstance(level, int) and level >= _FIRST_LEVEL
                self._names[scope, magento_id(row.get("id"))] = _name(row["name"]) if shown else ""


def _category_ids(row: Mapping[str, Any]) -> list[str]:
    extension = row.get("extension_attributes")
    links = extension.get("category_links") if isinstance(extension, dict) else None
    ids = [magento_id(link.get("category_id")) for link in (links if isinstance(links, list) else ()) if isinstance(link, dict)]
    return [one for one in ids if one][:_MOST_NAMES]


def _name(text: str) -> str:
    return plain(text)[:_LONGEST_NAME]
