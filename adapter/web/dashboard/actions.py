"""Actions on one delivery: retry it, or download it as a fixture."""

import io
import json
import zipfile
from collections.abc import Sequence

from flask import Response, abort, flash, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response as Redirect

from adapter.inbox import audit
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.tables import deliveries
from adapter.operations.dead_letters import hopeless
from adapter.operations.export import headers_of
from adapter.operations.retry import log_reopened, reopen, subject_of
from adapter.process.wake_up import wake_senders
from adapter.web.dashboard.delivery import find
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write


@blueprint.post("/deliveries/<int:delivery>/retry")
def retry(delivery: int) -> Redirect:
    """Send a stored delivery again."""
    find(delivery)
    forced = request.form.get("force") == "1"
    doubtful = read(lambda connection: hopeless(connection, [delivery], settings()))

    def again(connection: Connection) -> Sequence[int]:
        subject = subject_of([delivery])
        return reopen(connection, deliveries.c.id == delivery, at=now(), forced=forced, subject=subject, actor=audit.ADMINISTRATOR)

    if reopened := write(again):
        log_reopened(reopened)
        wake_senders(settings().database_url)
        if doubtful:
            flash(f"The delivery has been queued, but it will end the same way. {doubtful[delivery]}", "bad")
        else:
            flash("The delivery has been queued and will be sent again.", "good")
    else:
        flash("The delivery can't be sent again because its payload has been erased.", "bad")
    return back_to("show_delivery", delivery=delivery)


@blueprint.post("/deliveries/<int:delivery>/fixture")
def copy_as_fixture(delivery: int) -> Response:
    """The delivery as a zipped fixture folder, for `map`, `replay` and tests of the mapping."""
    row = find(delivery)
    store = settings().store(row.store)
    if row.payload is None or store is None:
        abort(404, "There is nothing to download: the payload has been erased, or the store is no longer in the settings.")
    if is_locked(row.payload):
        abort(409, f"The payload can't be read: {LOCKED}.")
    folder = f"{store.provider.name}/{store.name}-{row.id}"
    write(lambda connection: audit.note(connection, "downloaded as a fixture, with personal data", subject_of([delivery]), "", now()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{folder}/headers.json", json.dumps(headers_of(row, store.provider), indent=2) + "\n")
        archive.writestr(f"{folder}/payload.json", row.payload)
    disposition = {"Content-Disposition": f'attachment; filename="{store.name}-{row.id}.zip"'}
    return Response(packed.getvalue(), mimetype="application/zip", headers=disposition)
