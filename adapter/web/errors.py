"""Errors: a page for browsers, JSON for programs."""

from flask import Flask, Response, g, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound, RequestEntityTooLarge, Unauthorized

from adapter.web.dashboard.layout import blueprint as dashboard
from adapter.web.dashboard.login import CLOSED, may_see

_KINDS = ("application/json", "text/html")
_TITLES = {
    400: "The request can't be used", 404: "Nothing here", 405: "Not a page", 413: "Too large", 500: "Internal error", 503: "Not available",
}  # fmt: skip
_WHY = {
    MethodNotAllowed.description: "This address takes what forms and programs send. There is no page here.",
    NotFound.description: "There is nothing at this address.",
    RequestEntityTooLarge.description: "The form is too large.",
    Unauthorized.description: "Log in with the dashboard's password first.",
}


def add_error_pages(app: Flask) -> None:
    """Answer every HTTP error in the form that the client accepts."""
    app.register_error_handler(HTTPException, _error)


def _error(error: HTTPException) -> tuple[Response | str, int]:
    code, why = error.code or 500, _why(error)
    if request.accept_mimetypes.best_match(_KINDS, "") != "text/html":
        return jsonify(error=why), code
    title = "The dashboard is closed" if why == CLOSED else _TITLES.get(code, error.name)
    has_layout = request.blueprint == dashboard.name and may_see()
    return render_template(
        "error.html" if has_layout else "plain_error.html", title=title, why=f"{why[:1].upper()}{why[1:].rstrip('.')}."
    ), code


def _why(error: HTTPException) -> str:
    if isinstance(error, CSRFError):
        return "This form is no longer valid. Go back, reload the page and send the form again."
    if isinstance(error, InternalServerError) and error.description == InternalServerError.description:
        return f"An internal error. The adapter's log has the details, with the request ID {g.request_id}."
    return _WHY.get(error.description or "", error.description or error.name)
