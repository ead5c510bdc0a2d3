"""What changed of an order from one body sent to Drip to the next, in sentences for people; without personal data."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter.operations.order_summary import money, plain

_AMOUNTS = {
    "grand_total": "Total", "total_discounts": "Discounts", "total_taxes": "Taxes", "total_fees": "Fees", "total_shipping": "Shipping",
}  # fmt: skip
_PERSONAL = {"email": "Email address", "person_id": "Person", "billing_address": "Billing address", "shipping_address": "Shipping address"}
_BESIDE = frozenset(
    (*_AMOUNTS, *_PERSONAL, "action", "occurred_at", "refund_amount", "items", "item_count", "item_names", "initial_status")
)
_LONGEST = 60
_MOST = 12
Body = Mapping[str, Any]


def changes(before: Body, after: Body) -> list[str]:
    """One sentence for each change; empty if there is none."""
    currency = str(after.get("currency", ""))
    said = (
        [f"Refunded {money(Decimal(refund), currency)}"]
        if isinstance(refund := after.get("refund_amount"), (int, Decimal)) and refund
        else []
    )
    for name, title in _AMOUNTS.items():
        one, other = Decimal(before.get(name) or 0), Decimal(after.get(name) or 0)
        if one != other:
            said.append(f"{title} {money(one, currency)} → {money(other, currency)}")
    said += _items(_quantities(before), _quantities(after))
    said += [f"{title} changed" for name, title in _PERSONAL.items() if before.get(name) != after.get(name)]
    others = sorted({*before, *after} - _BESIDE)
    said += [_field(name, before.get(name), after.get(name)) for name in others if before.get(name) != after.get(name)]
    return said[:_MOST] + ([f"{len(said) - _MOST} more changes"] if len(said) > _MOST else [])


def _quantities(body: Body) -> dict[tuple[str, ...], tuple[str, Decimal]]:
    """Product and variant -> name and quantity, over all lines of it."""
    found: dict[tuple[str, ...], tuple[str, Decimal]] = {}
    for item in body.get("items") or ():
        key = tuple(str(item.get(name, "")) for name in ("product_id", "product_variant_id", "sku"))
        found[key] = (str(item.get("name", ""))[:_LONGEST], found.get(key, ("", Decimal(0)))[1] + Decimal(item.get("quantity") or 0))
    return found


def _items(before: Mapping[tuple[str, ...], tuple[str, Decimal]], after: Mapping[tuple[str, ...], tuple[str, Decimal]]) -> Sequence[str]:
    gone = [f"Removed {name} ({plain(quantity)})" for key, (name, quantity) in before.items() if key not in after]
    new = [f"Added {name} ({plain(quantity)})" for key, (name, quantity) in after.items() if key not in before]
    both = [(after[key][0], before[key][1], after[key][1]) for key in before if key in after]
    return [*gone, *new, *(f"{name}: {plain(one)} → {plain(other)}" for name, one, other in both if one != other)]


def _field(name: str, before: Any, after: Any) -> str:
    """An address or a custom attribute: without its value, which may be anything that a shopper typed."""
    what = "added" if before is None else "removed" if after is None else "changed"
    return f"{name.replace('_', ' ').capitalize()} {what}"
