"""An order in a Magento shop, in miniature: what REST returns of it after each invoice, shipment, cancellation and credit memo.

The sums are kept as magento2 keeps them: Sales/Model/Order/Invoice/Total, Sales/Model/Order::registerCancellation,
Sales/Model/Order/Creditmemo/Total and Sales/Model/Order/Creditmemo/RefundOperation.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

ZERO = Decimal(0)
Sums = defaultdict[str, Decimal]
PARTS = ("row_total", "tax_amount", "discount_amount", "discount_tax_compensation_amount")


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass
class Line:
    """A line that carries its own price: a simple product, a configurable one, a fixed-price bundle, or a part of a dynamic one."""

    item_id: int
    product_type: str
    price: Decimal
    ordered: int
    discount_percent: int = 0
    tax_percent: int = 0
    includes_tax: bool = False
    parent: int | None = None
    invoiced: int = 0
    shipped: int = 0
    canceled: int = 0
    refunded: int = 0
    taken: Sums = field(default_factory=lambda: defaultdict(Decimal))
    """What earlier invoices took of each amount, and `refunded ...` what credit memos gave back of that."""

    @property
    def amounts(self) -> dict[str, Decimal]:
        row = self.price * self.ordered
        rate = Decimal(self.tax_percent) / 100
        if self.includes_tax:
            full = cents(row * (1 + rate))
            discount = cents(full * self.discount_percent / 100)
            tax = cents((full - discount) * rate / (1 + rate))
            return dict(zip(PARTS, (row, tax, discount, full - row - tax), strict=True))
        discount = cents(row * self.discount_percent / 100)
        return dict(zip(PARTS, (row, cents((row - discount) * rate), discount, ZERO), strict=True))

    def invoice(self, quantity: int) -> dict[str, Decimal]:
        part = self._part("invoiced", self.amounts, quantity, self.ordered - self.invoiced)
        self.invoiced += quantity
        return part

    def refund(self, quantity: int) -> dict[str, Decimal]:
        bought = {name: self.taken[f"invoiced {name}"] for name in PARTS}
        part = self._part("refunded", bought, quantity, self.invoiced - self.refunded)
        self.refunded += quantity
        return part

    def _part(self, kind: str, of: Mapping[str, Any], quantity: int, available: int) -> dict[str, Decimal]:
        """The last one takes what is left, so that nothing is lost in rounding."""
        part = {}
        for name in PARTS:
            left = of[name] - self.taken[f"{kind} {name}"]
            part[name] = left if quantity == available else cents(left / available * quantity)
            self.taken[f"{kind} {name}"] += part[name]
        return part


@dataclass
class MagentoOrder:
    lines: Sequence[Line]
    shells: Sequence[int] = ()
    """The item ids of dynamic bundles, which carry no price of their own."""
    shells_ordered: int = 1
    shipping: Decimal = ZERO
    state: str = "new"
    sums: Sums = field(default_factory=lambda: defaultdict(Decimal))
    shell_counts: Sums = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def totals(self) -> dict[str, Decimal]:
        of_lines = {name: sum((line.amounts[name] for line in self.lines), ZERO) for name in PARTS}
        return of_lines | {"shipping_amount": self.shipping}

    @staticmethod
    def value(parts: Mapping[str, Decimal]) -> Decimal:
        row, tax, discount, compensation = (parts[name] for name in PARTS)
        return row + tax - discount + compensation + parts.get("shipping_amount", ZERO)

    def invoice(self, quantities: Mapping[int, int]) -> None:
        parts = self._sum([line.invoice(quantities[line.item_id]) for line in self.lines if quantities.get(line.item_id)])
        parts["shipping_amount"] = ZERO if self.sums["invoiced shipping_amount"] else self.shipping
        self._count("invoiced", parts)
        self.state = "processing"

    def ship(self, quantities: Mapping[int, int]) -> None:
        for line in self.lines:
            line.shipped += quantities.get(line.item_id, 0)
        self.shell_counts["shipped"] += 1

    def cancel(self) -> None:
        self.state = "complete" if any(line.invoiced for line in self.lines) else "canceled"
        for line in self.lines:
            line.canceled = line.ordered - line.invoiced
        for name, amount in self.totals.items():
            self.sums[f"canceled {name}"] = amount - self.sums[f"invoiced {name}"]
        # discount_invoiced is negative.
        self.sums["canceled discount_amount"] = self.totals["discount_amount"] + self.sums["invoiced discount_amount"]
        self.sums["canceled total"] = self.value(self.totals) - self.sums["invoiced total"]

    def refund(self, quantities: Mapping[int, int], shipping: Decimal = ZERO) -> None:
        parts = self._sum([line.refund(quantities[line.item_id]) for line in self.lines if quantities.get(line.item_id)])
        self._count("refunded", parts | {"shipping_amount": shipping})
        self.shell_counts["refunded"] += self.shells_ordered
        if self.sums["refunded total"] == self.sums["invoiced total"]:
            self.state = "closed"

    def payload(self) -> dict[str, Any]:
        totals, sums = self.totals, self.sums
        return {
            "entity_id": 7,
            "increment_id": "000000007",
            "state": self.state,
            "status": self.state,
            "customer_email": "ada.shopper@example.com",
            "created_at": "2026-09-30 12:00:00",
            "updated_at": "2026-09-30 13:00:00",
            "order_currency_code": "USD",
            "subtotal": totals["row_total"],
            "tax_amount": totals["tax_amount"],
            "discount_amount": -totals["discount_amount"],
            "discount_tax_compensation_amount": totals["discount_tax_compensation_amount"],
            "shipping_amount": totals["shipping_amount"],
            "grand_total": self.value(totals),
            "total_due": self.value(totals) - sums["invoiced total"],
            **self._counts(),
            "items": [*self._shells(), *map(self._line, self.lines)],
        }

    def _counts(self) -> dict[str, Any]:
        """What never happened is left out."""
        sums = self.sums
        counts = {
            "total_paid": sums["invoiced total"],
            "tax_invoiced": sums["invoiced tax_amount"],
            "shipping_invoiced": sums["invoiced shipping_amount"],
            "discount_invoiced": -sums["invoiced discount_amount"],
            "total_canceled": sums["canceled total"],
            "tax_canceled": sums["canceled tax_amount"],
            "shipping_canceled": sums["canceled shipping_amount"],
            "discount_canceled": sums["canceled discount_amount"],
            "total_refunded": sums["refunded total"],
            "tax_refunded": sums["refunded tax_amount"],
            "shipping_refunded": sums["refunded shipping_amount"],
            "discount_refunded": -sums["refunded discount_amount"],
            "discount_tax_compensation_refunded": sums["refunded discount_tax_compensation_amount"],
        }
        return {name: amount for name, amount in counts.items() if amount}

    def _shells(self) -> list[dict[str, Any]]:
        shells = []
        for item_id in self.shells:
            parts = [line for line in self.lines if line.parent == item_id]
            shells.append(
                {
                    "item_id": item_id,
                    "product_id": item_id,
                    "product_type": "bundle",
                    "sku": f"KIT-{item_id}",
                    "name": f"Kit {item_id}",
                    "price": sum((line.price * line.ordered for line in parts), ZERO) / self.shells_ordered,
                    "qty_ordered": self.shells_ordered,
                    "qty_refunded": self.shell_counts["refunded"],
                    "qty_shipped": self.shell_counts["shipped"],
                }
            )
        return shells

    def _line(self, line: Line) -> dict[str, Any]:
        row = {
            "item_id": line.item_id,
            "product_id": line.item_id,
            "product_type": line.product_type,
            "sku": f"SKU-{line.item_id}",
            "name": f"Product {line.item_id}",
            "price": line.price,
            "base_price": line.price,
            "qty_ordered": line.ordered,
            "qty_invoiced": line.invoiced,
            "qty_shipped": line.shipped,
            "qty_canceled": line.canceled,
            "qty_refunded": line.refunded,
            **line.amounts,
        }
        if line.canceled:
            compensation = line.amounts["discount_tax_compensation_amount"] * line.canceled / line.ordered
            row["discount_tax_compensation_canceled"] = round(compensation, 4)
        return row if line.parent is None else row | {"parent_item_id": line.parent}

    def _count(self, kind: str, parts: Mapping[str, Decimal]) -> None:
        for name, amount in parts.items():
            self.sums[f"{kind} {name}"] += amount
        self.sums[f"{kind} total"] += self.value(parts)

    @staticmethod
    def _sum(parts: Sequence[Mapping[str, Decimal]]) -> dict[str, Decimal]:
        return {name: sum((part[name] for part in parts), ZERO) for name in PARTS}
