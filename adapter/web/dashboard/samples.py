"""Sample orders for a first run: posted as a store would post them, while the sandbox takes the place of Drip."""

from pathlib import Path

from flask import abort, current_app, flash
from werkzeug.test import Client
from werkzeug.wrappers import Response

from adapter import samples
from adapter.inbox import audit
from adapter.operations.wording import counted
from adapter.process.replay import Case, find_cases, freshen, target_of
from adapter.web.dashboard.layout import back_to, blueprint, now, settings, write

_SAMPLES = Path(samples.__file__).parent


@blueprint.post("/first-run/samples")
def replay_samples() -> Response:
    """Post the samples to the adapter's own webhook addresses, each as a new order."""
    if not settings().sandbox:
        abort(404)
    cases = find_cases([_SAMPLES])
    client = Client(current_app.extensions["front"])
    kept = [delivery for delivery in (_post(client, case) for case in cases) if delivery]
    write(lambda connection: audit.note(connection, "replayed the samples", counted(len(kept)), "", now()))
    if len(kept) < len(cases):
        flash(f"{len(cases) - len(kept)} of {len(cases)} samples were not accepted: their store isn't configured.", "bad")
    return back_to("list_deliveries", samples=",".join(kept))


def _post(client: Client, case: Case) -> str:
    """Post a sample; the delivery's id, blank if it was refused."""
    target = target_of(case, settings())
    scheme = case.provider.scheme(target.auth)
    if not scheme.can_sign or not target.credentials.secrets:
        return ""
    payload = freshen(case)
    signature = scheme.signed(payload, target.credentials)
    answer = client.post(f"/webhooks/{target.store}", data=payload, headers={**case.headers, **signature})
    return str(answer.get_json()["delivery"]) if answer.status_code == 200 else ""
