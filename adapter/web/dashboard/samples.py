"""Sample orders for a first run: posted as a store would post them, while the sandbox takes the place of Drip."""

from pathlib import Path

from flask import abort, current_app, flash
from werkzeug.test import Client
from werkzeug.wrappers import Response

from adapter.errors import WorkFailed
from adapter.inbox import audit
from adapter.process.replay import Case, find_cases, freshen, target_of
from adapter.web.dashboard.layout import back_to, blueprint, now, settings, write

_FIXTURES = Path(__file__).parent.parent.parent.parent / "fixtures"
SAMPLES = (
    "shopify/paid-order",
    "shopify/fulfilled-with-tracking",
    "shopify/refund-partial",
    "shopify/test-notification",
    "shopify/price-unreadable",
    "woocommerce/paid-order",
    "woocommerce/coupons",
    "woocommerce/pending-unpaid",
    "woocommerce/refund-partial",
    "magento/guest-checkout",
    "magento/configurable-product",
    "magento/refund-partial",
)
"""A dozen typical cases: most are delivered, some are skipped, and one is dead."""


@blueprint.post("/first-run/samples")
def replay_samples() -> Response:
    """Post the samples to the adapter's own webhook addresses, each as a new order."""
    if not settings().sandbox:
        abort(404)
    try:
        cases = find_cases(_FIXTURES / sample for sample in SAMPLES)
    except WorkFailed:
        abort(404, "The sample orders are not installed: they are in the fixtures folder of the source code.")
    client = Client(current_app.wsgi_app)
    kept = sum(_post(client, case) for case in cases)
    write(lambda connection: audit.note(connection, "replayed the samples", f"{kept} deliveries", "", now()))
    flash(f"{kept} of {len(cases)} samples received. Watch them being sent to the sandbox.", "good")
    return back_to("list_deliveries")


def _post(client: Client, case: Case) -> bool:
    target = target_of(case, settings())
    scheme = case.provider.scheme(target.auth)
    if not scheme.can_sign or not target.credentials.secrets:
        return False
    payload = freshen(case)
    signature = {scheme.header(target.credentials): scheme.sign(payload, target.credentials.secrets[0], target.credentials)}
    answer = client.post(f"/webhooks/{target.store}", data=payload, headers=case.headers | signature)
    return answer.status_code == 200
