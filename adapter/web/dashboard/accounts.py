"""Actions on a Drip account."""

from flask import abort, flash
from werkzeug.wrappers import Response

from adapter.inbox import audit
from adapter.operations.resume import resume
from adapter.process.wake_up import wake_senders
from adapter.web.dashboard.layout import back_to, blueprint, now, settings, write


@blueprint.post("/accounts/<account>/resume")
def try_now(account: str) -> Response:
    """Try a paused or throttled account at once."""
    if account not in settings().accounts:
        abort(404, "There is no Drip account with this id in the settings.")
    write(lambda connection: resume(connection, account, now(), audit.ADMINISTRATOR))
    wake_senders(settings().database_url)
    flash("The account is being tried now. Reload the page in a few seconds to see what came of it.", "good")
    return back_to("show_overview")
