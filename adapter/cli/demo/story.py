"""`demo`: a few orders of three platforms, change by change; then one of them, field by field."""

import json
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from sqlalchemy import Row

from adapter import samples
from adapter.cli import output
from adapter.cli.delivery_output import why
from adapter.cli.demo.comparison import print_comparison
from adapter.cli.demo.running import DemoAdapter, running_adapter, wait_until
from adapter.inbox import search, views
from adapter.inbox.database import snapshot
from adapter.operations.wording import counted
from adapter.process.replay import Case
from mappings import Reason

_SAMPLES = Path(samples.__file__).parent
_WIDTH_WITHOUT_TERMINAL = 120


@dataclass(frozen=True, slots=True)
class Scene:
    """A webhook, and what happened at the store."""

    sample: str
    order: str
    event: str

    @property
    def case(self) -> Case:
        """The webhook."""
        return Case(_SAMPLES / self.sample)


SCENES = (
    Scene("shopify/lantern-product", "Shopify product", "page and image of a lantern"),
    Scene("shopify/lantern-placed", "Shopify #2044", "a new order"),
    Scene("shopify/lantern-placed", "Shopify #2044", "the same webhook again"),
    Scene("shopify/lantern-edited", "Shopify #2044", "edited: one more lantern"),
    Scene("shopify/lantern-refunded", "Shopify #2044", "refunded in part"),
    Scene("shopify/lantern-late", "Shopify #2044", "an older state, arriving late"),
    Scene("woocommerce/guest-placed", "WooCommerce 10102", "a guest's order"),
    Scene("woocommerce/guest-cancelled", "WooCommerce 10102", "cancelled and paid back"),
    Scene("woocommerce/not-paid-yet", "WooCommerce 10114", "an order not paid yet"),
    Scene("magento/jacket-placed", "Magento 000004107", "a new order"),
    Scene("magento/jacket-returned", "Magento 000004107", "one of two jackets returned"),
    Scene("shopify/test-notification", "Shopify #9999", "a test notification"),
    Scene("shopify/price-unreadable", "Shopify #2090", "an order with a broken price"),
)
COMPARED = "shopify/lantern-refunded"
_NOTHING = {
    Reason.CATALOG: "nothing; kept for its orders",
    Reason.STALE: "nothing; it has a newer state",
    Reason.UNPAID: "nothing until it is paid",
    Reason.TEST_ORDER: "nothing; only a test",
}
_NEXT = (
    ("serve --sandbox", "run it, with a dashboard"),
    ("map shopify order.json", "try an order of yours"),
    ("connect shopify", "connect your store"),
)
_COLUMNS = (output.Column("order"), output.Column("what the store sent"), output.Column("what Drip got"))


def tell_story() -> int:
    """Post the webhooks one after the other, and show what Drip got of each; the exit status."""
    out = output.console(_WIDTH_WITHOUT_TERMINAL)
    out.print("A fresh adapter with a sandbox in Drip's place. Nothing is sent to Drip.\n")
    status = out.status("Starting the adapter")
    status.start()
    with ExitStack() as stack:
        stack.callback(status.stop)
        adapter = stack.enter_context(running_adapter(()))
        results = []
        for number, scene in enumerate(SCENES, 1):
            status.update(f"Webhook {number} of {len(SCENES)}: {scene.order}, {scene.event}")
            results.append(_post(adapter, scene))
        status.update("Looking at one order, field by field")
        compared = next(result.delivery for scene, result in zip(SCENES, results, strict=True) if scene.sample == COMPARED)
        shown = json.loads(adapter.command("deliveries", "show", str(compared), "--json"), parse_float=str)
        received = len(adapter.received())
        status.stop()
        lines = [(scene.order, scene.event, result.text) for scene, result in zip(SCENES, results, strict=True)]
        out.print(output.table(_COLUMNS, lines, out.width))
        print_comparison(out, shown)
        _print_next(out)
    return 0 if received == sum(result.is_at_drip for result in results) > 0 else 1


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of a webhook."""

    delivery: int
    text: Text
    is_at_drip: bool = False


def _post(adapter: DemoAdapter, scene: Scene) -> _Result:
    """Post a scene's webhook, and wait until it is settled."""
    answer = json.loads(adapter.post(scene.case).answer)
    delivery = int(answer["delivery"])
    if answer["status"] == "duplicate":
        return _Result(delivery, Text("nothing; it is a copy", "dim"))
    wait_until(lambda: _row(adapter, delivery).state != "pending", "the adapter did not send everything")
    return _result(adapter, _row(adapter, delivery))


def _row(adapter: DemoAdapter, delivery: int) -> Row[Any]:
    with snapshot(adapter.engine) as connection:
        row = views.one(connection, delivery)
    assert row is not None  # noqa: S101 - it was acknowledged
    return row


def _result(adapter: DemoAdapter, row: Row[Any]) -> _Result:
    if row.state == "dead":
        return _Result(row.id, Text(f"nothing; it needs you: {why(row)}", "bold red"))
    if row.state == "skipped":
        return _Result(row.id, Text(_NOTHING.get(row.reason, f"nothing; {row.reason}"), "dim"))
    with snapshot(adapter.engine) as connection:
        body = json.loads(search.attempts_of(connection, row.id)[-1].body, parse_float=str)
    text = f"{body['action']}: {body['grand_total']} {body['currency']}, {_items(body)}"
    return _Result(row.id, Text(text, "green"), is_at_drip=True)


def _items(body: dict[str, Any]) -> str:
    return counted(int(body["item_count"]), "item", "items")


def _print_next(out: Console) -> None:
    out.print("\nTry next:")
    for arguments, does in _NEXT:
        out.print(f"  {_command()} {arguments:22}  {does}", soft_wrap=True)


def _command() -> str:
    """The adapter's command, as it was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m adapter"
    return "drip-adapter" if shutil.which("drip-adapter") else str(called)
