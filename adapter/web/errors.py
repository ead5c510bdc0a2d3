"""Errors: a page for browsers, JSON for programs."""

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, NotFound

from adapter.web.dashboard.layout import blueprint as dashboard
from adapter.web.dashboard.login import may_see

_KINDS = ("application/json", "text/html")


def add_error_pages(app: Flask) -> None:
    """Answer every HTTP error in the form that the client accepts."""
    app.register_error_handler(HTTPException, _error)


def _error(error: HTTPException) -> tuple[Response | str, int]:
    code, why = error.code or 500, error.description
    if why == NotFound.description:
        why = "There is nothing at this address."
    if request.blueprint == dashboard.name and may_see():
        if request.accept_mimetypes.best != "application/json":
            return render_template("error.html", name=error.name, why=why), code
    elif request.accept_mimetypes.best_match(_KINDS, "") == "text/html":
        return render_template("plain_error.html", name=error.name, why=why), code
    return jsonify(error=why), code
