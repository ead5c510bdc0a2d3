"""An OpenAPI description of every route, made from the routes themselves and a table of what each takes and answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

HTML, JSON, ANY = "text/html", "application/json", "*/*"
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}, "additionalProperties": False}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_HEADERS = {"Accept": [HTML, JSON, ANY], "X-Refresh": ["1"], "X-Request-ID": ["a-1"], "If-None-Match": ['"a"', "*"]}
_FILTERS = {
    "store": ["shopify"],
    "state": ["dead", "delivered"],
    "reason": ["stale"],
    "topic": ["orders/updated"],
    "q": ["1001", "#1001"],
    "since": ["2026-01-01", "2026-01-01T10:00"],
    "until": ["2026-12-31", "9999-12-31"],
    "mail": ["0123abcd"],
}  # fmt: skip
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
_NUMBER = ["1", "0", "9223372036854775807", "9223372036854775808"]
Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Takes:
    """What one method of a route takes, and the statuses of its answers, with their content types, for someone who is logged in."""

    answers: Mapping[int, Sequence[str]]
    query: Values = field(default_factory=dict)
    form: Values = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    anonymous: Mapping[int, Sequence[str]] | None = None
    """The same for anybody else, where the answer isn't that one must log in."""


_MISSING = {404: [HTML, JSON]}
_PAGE, _BACK = {200: [HTML]}, {303: [HTML]}
_TO_LOG_IN = {303: [HTML], 401: [JSON], 400: [HTML, JSON]}
_REPORT = {200: [JSON], 503: [JSON]}
_NO_TOKEN = {401: [HTML, JSON]}
_FILE = {200: [ANY], 304: [ANY], **_MISSING}

ROUTES: dict[tuple[str, str], Takes] = {
    ("GET", "dashboard.show_overview"): Takes(_PAGE, query={"span": ["day", "week"]}),
    ("GET", "dashboard.list_deliveries"): Takes(_PAGE, query={**_FILTERS, "before": _NUMBER, "samples": ["1,2", "1,,x"]}),
    ("POST", "dashboard.search"): Takes(_BACK, form={"q": ["1001", "ada.shopper@example.com", "@", "%"]}),
    ("POST", "dashboard.confirm_retry"): Takes(_PAGE, form={**_FILTERS, "id": _NUMBER, "which": ["all"]}),
    ("POST", "dashboard.retry_chosen"): Takes(
        {**_PAGE, **_BACK}, form={**_FILTERS, "id": _NUMBER, "below": _NUMBER, "done": _NUMBER, "force": ["1"]}
    ),
    ("GET", "dashboard.show_delivery"): Takes({**_PAGE, **_MISSING, 304: [ANY]}),
    ("POST", "dashboard.reveal"): Takes({**_PAGE, **_MISSING}),
    ("POST", "dashboard.retry"): Takes({**_BACK, **_MISSING}, form={"force": ["1"]}),
    ("POST", "dashboard.copy_as_fixture"): Takes({200: ["application/zip"], **_MISSING}),
    ("GET", "dashboard.show_orders"): Takes(_PAGE, query={"before": _NUMBER, "store": ["shopify"]}),
    ("GET", "dashboard.show_order"): Takes({**_PAGE, **_MISSING}),
    ("GET", "dashboard.list_stores"): Takes(_PAGE),
    ("GET", "dashboard.show_store"): Takes({**_PAGE, **_MISSING}),
    ("GET", "dashboard.arrivals"): Takes({200: [JSON]}, query={"since": _NUMBER, "refused": _NUMBER}),
    ("GET", "dashboard.show_audit"): Takes(_PAGE, query={"before": _NUMBER}),
    ("POST", "dashboard.try_now"): Takes({**_BACK, **_MISSING}),
    ("POST", "dashboard.replay_samples"): Takes(_MISSING),
    ("GET", "dashboard.log_in"): Takes({302: [HTML]}, query={"next": ["/orders", "//evil.example", "/\\evil"]}, anonymous=_PAGE),
    ("POST", "dashboard.log_in"): Takes(
        {302: [HTML]}, form={"password": ["wrong"], "next": ["/orders"]}, anonymous={400: [HTML, JSON], 401: [HTML], 429: [HTML]}
    ),
    ("POST", "dashboard.log_out"): Takes(_BACK),
    ("GET", "static"): Takes(_FILE, anonymous=_FILE),
    ("GET", "health.status"): Takes(_REPORT, anonymous=_NO_TOKEN),
    ("GET", "health.metrics"): Takes({200: [ANY]}, anonymous=_NO_TOKEN),
    ("GET", "webhooks.greet"): Takes(
        {200: ["text/plain"], 405: [HTML, JSON], **_MISSING},
        query={"challenge": ["a", "é\r\n"]},
        anonymous={200: ["text/plain"], 405: [HTML, JSON], **_MISSING},
    ),
}
"""By method and Flask's endpoint."""

_WEBHOOK = {200: [JSON], 400: [JSON], 401: [JSON], 403: [JSON], 404: [JSON], 413: [JSON]}
_IN_FRONT: dict[tuple[str, str], Takes] = {
    ("POST", "/webhooks/{name}"): Takes(_WEBHOOK, body={JSON: {}, "application/octet-stream": {"type": "string", "format": "binary"}}),
    ("GET", "/healthz"): Takes({200: [JSON]}),
    ("GET", "/readyz"): Takes(_REPORT),
}
"""What is answered without Flask, by method and path; the same for everybody."""


def described_methods(app: Flask) -> set[tuple[str, str]]:
    """Method and endpoint of every route."""
    return {(method, rule.endpoint) for rule in app.url_map.iter_rules() for method in _methods(rule)}


def describe(app: Flask, known: Values, *, logged_in: bool) -> dict[str, Any]:
    """The description, with values for the variables of paths, by name; strings that nobody thought of are tried beside them."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        for method in _methods(rule):
            takes = ROUTES[method, rule.endpoint]
            path = _VARIABLE.sub(r"{\1}", rule.rule)
            paths.setdefault(path, {})[method.lower()] = _operation(path, takes, _answers(takes, rule, logged_in), known)
    for (method, path), takes in _IN_FRONT.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, takes, takes.answers, known)
    return {"openapi": "3.1.0", "info": {"title": "drip-adapter", "version": "1"}, "paths": paths}


def _methods(rule: Rule) -> Iterator[str]:
    return (method for method in rule.methods or () if method in ("GET", "POST"))


def _answers(takes: Takes, rule: Rule, logged_in: bool) -> Mapping[int, Sequence[str]]:
    is_page = rule.endpoint.startswith("dashboard.")
    invalid = {400: [HTML, JSON]} if is_page else {}
    if not logged_in:
        # No integer, or a line break: the route itself doesn't exist.
        return {**invalid, **(_TO_LOG_IN if takes.anonymous is None else takes.anonymous), **(_MISSING if "<" in rule.rule else {})}
    return {**invalid, **takes.answers, **(_MISSING if "<" in rule.rule else {})}


def _operation(path: str, takes: Takes, answers: Mapping[int, Sequence[str]], known: Values) -> dict[str, Any]:
    variables = re.findall(r"{(\w+)}", path)
    parameters = [{"in": "path", "name": name, "required": True, "schema": _some(known[name])} for name in variables]
    parameters += [{"in": "query", "name": name, "schema": _some(values)} for name, values in takes.query.items()]
    parameters += [{"in": "header", "name": name, "schema": _some(values)} for name, values in _HEADERS.items()]
    bodies: dict[str, Any] = {name: {"schema": schema} for name, schema in takes.body.items()}
    if takes.form:
        fields = {name: _some(values) for name, values in takes.form.items()}
        bodies["application/x-www-form-urlencoded"] = {"schema": {"type": "object", "properties": fields}}
    return {
        "parameters": parameters,
        **({"requestBody": {"content": bodies}} if bodies else {}),
        "responses": {str(status): _response(status, kinds) for status, kinds in answers.items()},
    }


def _some(values: Sequence[str]) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(values)}, {"type": "string"}]}


def _response(status: int, kinds: Sequence[str]) -> dict[str, Any]:
    schema = {HTML: {}, JSON: _ERROR if status in (400, 401, 403, 404, 405, 413) else {}}
    return {"description": str(status), "content": {kind: {"schema": schema.get(kind, {})} for kind in kinds if kind != ANY}}
