"""Sample orders for a first run: posted as a store would post them, while the sandbox takes the place of Drip."""

import time
from pathlib import Path

from flask import abort, current_app, flash
from werkzeug.test import Client
from werkzeug.wrappers import Response

from adapter import samples
from adapter.inbox import audit, views
from adapter.operations.wording import counted
from adapter.process.replay import Case, freshen, order_ids, target_of
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write

_SAMPLES = Path(samples.__file__).parent
_WAITS_S = 6.0
"""How long a replay waits, in all, for orders to reach the sandbox."""
_LOOKS_EVERY_S = 0.05


@blueprint.post("/first-run/samples")
def replay_samples() -> Response:
    """Post the samples to the adapter's own webhook addresses, each order as a new one.

    A state of an order is posted once the one before it has been settled, so that the order's page shows what changed between them.
    """
    if not settings().sandbox:
        abort(404)
    cases = [Case(_SAMPLES / name) for name in samples.STORY]
    client = Client(current_app.extensions["front"])
    kept: list[int] = []
    newest: dict[str, int] = {}
    ends = time.monotonic() + _WAITS_S
    for case, payload in zip(cases, freshen(cases), strict=True):
        orders = order_ids(case)
        _wait([newest[order] for order in orders if order in newest], ends)
        if delivery := _post(client, case, payload):
            kept.append(delivery)
            newest |= dict.fromkeys(orders, delivery)
    write(lambda connection: audit.note(connection, "replayed the samples", counted(len(kept)), "", now()))
    if len(kept) < len(cases):
        flash(f"{len(cases) - len(kept)} of {len(cases)} samples were not accepted: their store isn't configured.", "bad")
    return back_to("list_deliveries", samples=",".join(map(str, kept)))


def _wait(deliveries: list[int], ends: float) -> None:
    """Wait until these are settled; not beyond a time, since no sender may be running."""
    while deliveries and time.monotonic() < ends and "pending" in read(lambda connection: views.states_of(connection, deliveries)):
        time.sleep(_LOOKS_EVERY_S)


def _post(client: Client, case: Case, payload: bytes) -> int:
    """Post a sample; the delivery's id, 0 if it was refused."""
    target = target_of(case, settings())
    scheme = case.provider.scheme(target.auth)
    if not scheme.can_sign or not target.credentials.secrets:
        return 0
    signature = scheme.signed(payload, target.credentials)
    answer = client.post(f"/webhooks/{target.store}", data=payload, headers={**case.headers, **signature})
    return int(answer.get_json()["delivery"]) if answer.status_code == 200 else 0
