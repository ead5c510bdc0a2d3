"""What a person does about one delivery: send it again, or take it along as a fixture."""

import io
import json
import zipfile
from collections.abc import Sequence

from flask import Response, abort, flash, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response as Redirect

from adapter.inbox import audit
from adapter.inbox.tables import deliveries
from adapter.operations.retry import reopen, tell
from adapter.process.wake_up import wake_senders
from adapter.web.dashboard.delivery import find
from adapter.web.dashboard.layout import back_to, blueprint, now, settings, write


@blueprint.post("/deliveries/<int:delivery>/retry")
def retry(delivery: int) -> Redirect:
    """Send it again, from what was kept."""
    find(delivery)
    forced = request.form.get("force") == "1"

    def again(connection: Connection) -> Sequence[int]:
        subject = f"delivery {delivery}"
        return reopen(connection, deliveries.c.id == delivery, at=now(), forced=forced, subject=subject, actor=audit.ADMINISTRATOR)

    if reopened := write(again):
        tell(reopened)
        wake_senders(settings().database_url)
        flash("It is sent again.", "good")
    else:
        flash("It cannot be sent again: what was kept of it is erased.", "bad")
    return back_to("show_delivery", delivery=delivery)


@blueprint.post("/deliveries/<int:delivery>/fixture")
def copy_as_fixture(delivery: int) -> Response:
    """The delivery as a fixture folder, zipped: what `map` and `replay` take, and a test of the mapping begins with."""
    row = find(delivery)
    store = settings().store(row.store)
    if row.payload is None or store is None:
        abort(404, "There is nothing to copy: what was kept of it is erased, or no setting names its store.")
    headers = {
        "Content-Type": "application/json",
        **({store.provider.topic_headers[0]: row.topic} if row.topic else {}),
        **json.loads(row.headers),
    }
    folder = f"{store.provider.name}/{store.name}-{row.id}"
    write(lambda connection: audit.note(connection, "copied as a fixture, with personal data", f"delivery {delivery}", "", now()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{folder}/headers.json", json.dumps(headers, indent=2) + "\n")
        archive.writestr(f"{folder}/payload.json", row.payload)
    disposition = {"Content-Disposition": f'attachment; filename="{store.name}-{row.id}.zip"'}
    return Response(packed.getvalue(), mimetype="application/zip", headers=disposition)
