"""What a webhook address answers to anything but a webhook."""

from flask import Blueprint, Response, abort, current_app, request

from adapter.settings import Settings
from adapter.web.webhooks import unknown_store

blueprint = Blueprint("webhooks", __name__)


@blueprint.get("/webhooks/<name>", strict_slashes=False)
def greet(name: str) -> Response:
    """Echo a platform's challenge, or tell a person who opens the address what it is for."""
    settings: Settings = current_app.extensions["settings"]
    store = settings.store(name)
    if store is None:
        abort(404, unknown_store(name))
    challenge = request.args.get("challenge")
    if challenge is None or not store.provider.echoes_challenge:
        abort(405, description=f"{store.provider.title} posts the webhooks of store {store.name} to this address; there is no page here")
    response = Response(challenge, mimetype="text/plain")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
