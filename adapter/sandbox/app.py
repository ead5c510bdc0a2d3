"""The sandbox: a small web app that takes Drip's place, enforces the Order Activity contract, and keeps what it received in memory.

The two order endpoints and the account endpoint behave as Drip's documentation says (pages "Order Activity", "Batch API", "Accounts",
"Authentication", "Rate limiting", "Errors"); any token opens any account. Where the documentation says nothing: a body that isn't JSON,
or isn't sent as `application/json`, is a 400; every request spends quota, except one refused for its credentials or for lack of quota;
the code of a 401 is `authentication_error`. The contract defines an order; its actions are allowed, and so are those of Drip's current
page.

Everything else is for people and tests and needs no credentials: `/`, `/received`, `/requests`, `/answers`. The state is in memory, so
run it in one process, with threads.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from flask import Flask, Response, render_template, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from adapter.printable import in_page
from adapter.sandbox.answers import MOST_BODY_BYTES, Answer, Kind, RuleSchema, apply_rule, errors, refusal
from adapter.sandbox.posted import Posted, read_posted
from adapter.sandbox.state import Seen, State, now
from mappings import Rejected, dotted, encode, parse

_SHOWN_ON_PAGE = 50


class Sandbox:
    """The views. An order request passes credentials, quota, rules and contract, in this order."""

    def __init__(self, state: State) -> None:
        self.state = state

    def routes(self) -> tuple[tuple[str, str, Callable[..., Response]], ...]:
        """Method, path and view of every endpoint."""
        return (
            ("POST", "/v3/<account>/shopper_activity/order", self.single),
            ("POST", "/v3/<account>/shopper_activity/order/batch", self.batch),
            ("GET", "/v2/accounts/<account>", self.account),
            ("GET", "/received", self.received),
            ("DELETE", "/received", self.forget_received),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
            ("GET", "/answers", self.rules),
            ("PUT", "/answers", self.add_rule),
            ("DELETE", "/answers", self.clear_rules),
            ("GET", "/", self.page),
        )

    def single(self, account: str) -> Response:
        return self._post(account, "single")

    def batch(self, account: str) -> Response:
        return self._post(account, "batch")

    def _post(self, account: str, kind: Kind) -> Response:
        seen = self.state.log_request(_seen(account, kind))
        try:
            payload: bytes | None = request.get_data()  # always: an answer sent before the body has been read may never arrive
        except RequestEntityTooLarge:
            payload = None
        allowed, remaining = self.state.spend(account, kind, free=seen.auth is None)
        if seen.auth is None:
            answer: Answer | None = refusal(401)
        else:
            answer = self._judge(seen, account, kind, payload) if allowed else refusal(429)
        return _end(seen, answer, {"X-RateLimit-Limit": str(self.state.limits[kind]), "X-RateLimit-Remaining": str(remaining)})

    def account(self, account: str) -> Response:
        """`GET /v2/accounts/<account>`: the account's main fields. Rules without a kind apply here as well."""
        seen = self.state.log_request(_seen(account, None))
        if seen.auth is None:
            return _end(seen, refusal(401))
        known = {"id": account, "name": "Sandbox", "href": request.base_url}
        answer = Answer(status=200, body={"links": {}, "accounts": [known]})
        rule = self.state.take_rule(account, None, [])
        return _end(seen, answer if rule is None else apply_rule(answer, "single", *rule))

    def _judge(self, seen: Seen, account: str, kind: Kind, payload: bytes | None) -> Answer | None:
        """The answer to a request that passed credentials and quota; None to drop the connection."""
        posted = Posted(problem=refusal(413)) if payload is None else read_posted(kind, request.mimetype, payload)
        order_ids = posted.order_ids
        seen.orders, seen.order_id = len(order_ids), order_ids[0] if kind == "single" and order_ids else None
        rule = self.state.take_rule(account, kind, order_ids)
        record = rule is None or rule[0].records
        answer = posted.problem or self.state.accept(account, kind, posted.orders, record=record)
        return answer if rule is None else apply_rule(answer, kind, *rule)

    def received(self) -> Response:
        """`GET /received`: the accepted orders; `?account=`, `?order_id=`, `?since=` (an index), `?limit=`."""
        total, rows = self.state.received(_number("since", 0))
        return _listing(total, "orders", rows, ("account", "order_id"))

    def requests(self) -> Response:
        """`GET /requests`: every request to Drip's addresses; `?account=`, `?kind=`, `?since=` (an index), `?limit=`."""
        total, rows = self.state.requests(_number("since", 0))
        return _listing(total, "requests", rows, ("account", "kind"))

    def forget_received(self) -> Response:
        self.state.forget_received()
        return Response(status=204)

    def forget_requests(self) -> Response:
        self.state.forget_requests()
        return Response(status=204)

    def add_rule(self) -> Response:
        """`PUT /answers`: answer differently from now on."""
        try:
            self.state.add_rule(RuleSchema().load(parse(request.get_data())))
        except Rejected as error:
            return _respond(errors(400, [("format_error", "", str(error))]))
        except ValidationError as error:
            problems = dotted(error.messages)
            return _respond(errors(422, [("format_error", path, why) for path, reasons in problems.items() for why in reasons]))
        return self.rules()

    def rules(self) -> Response:
        """`GET /answers`: the rules in force."""
        return _respond(Answer(status=200, body={"answers": self.state.rules()}))

    def clear_rules(self) -> Response:
        self.state.clear_rules()
        return Response(status=204)

    def page(self) -> Response:
        """`GET /`: what the sandbox is, and the newest orders."""
        total, rows = self.state.received()
        shown = [(row, parse(bytes(row.order))) for _, row in reversed(rows[-_SHOWN_ON_PAGE:])]
        response = Response(render_template("received.html", total=total, shown=shown, limits=self.state.limits), mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def failed(self, error: HTTPException) -> Response:
        """Any other request, in Drip's form; a wrong method is answered like a wrong path."""
        status = 404 if error.code in (None, 404, 405) else error.code
        if status == 404 and request.path.startswith(("/v2/", "/v3/")):
            self.state.log_request(_seen(None, None)).end(status)
        return _respond(refusal(status))


def create_sandbox(
    *,
    single_limit: int = 3600,
    batch_limit: int = 50,
    enforce_limits: bool = True,
    hour: float = 3600,
    keep: int = 100_000,
) -> Flask:
    """The sandbox as a WSGI app.

    `hour` is the length in seconds of the window for the limits; `keep` is how many orders, and how many requests, are remembered.
    Without `enforce_limits` the quota is reported but never enforced.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    sandbox = Sandbox(State({"single": single_limit, "batch": batch_limit}, enforce=enforce_limits, hour=hour, keep=keep))
    app.extensions["sandbox"] = sandbox
    app.jinja_env.finalize = in_page
    for method, path, view in sandbox.routes():
        app.add_url_rule(path, view.__name__, view, methods=[method], provide_automatic_options=False)
    app.register_error_handler(HTTPException, sandbox.failed)
    return app


def _seen(account: str | None, kind: Kind | None) -> Seen:
    agent = request.headers.get("User-Agent")
    return Seen(account=account, kind=kind, path=request.path, auth=_auth_scheme(), user_agent=agent, at=now())


def _end(seen: Seen, answer: Answer | None, headers: Mapping[str, str] | None = None) -> Response:
    """Send an answer and record its status; None drops the connection."""
    seen.end(answer.status if answer else None)
    if answer is None:
        _drop_connection()
        return Response(status=500)  # to a closed socket
    return _respond(Answer(status=answer.status, body=answer.body, headers={**(headers or {}), **answer.headers}))


def _auth_scheme() -> str | None:
    """`basic` or `bearer`, if the request has a token of that kind."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "bearer" if token.strip() else None
    authorization = request.authorization
    if authorization is None or authorization.type != "basic":
        return None
    return "basic" if (authorization.username or "").strip() else None


def _drop_connection() -> None:
    connection = request.environ.get("werkzeug.socket") or request.environ.get("gunicorn.socket")
    if not isinstance(connection, socket.socket):
        raise RuntimeError("cannot drop the connection: this server does not pass its socket to the app; use werkzeug or gunicorn")
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)


def _respond(answer: Answer) -> Response:
    if answer.status in (204, 304):
        body: str | bytes | None = None
    else:
        body = answer.body if isinstance(answer.body, str) else encode(answer.body)
    kind = answer.headers.get("Content-Type", "text/html; charset=utf-8" if isinstance(answer.body, str) else "application/json")
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    return Response(body, answer.status, headers=headers, content_type=kind)


def _listing(total: int, name: str, rows: Sequence[tuple[int, Any]], filters: tuple[str, ...]) -> Response:
    """Numbered entries that match the query."""
    wanted = {key: request.args[key] for key in filters if key in request.args}
    found = ((index, vars(row)) for index, row in rows)
    shown = [{"index": index} | row for index, row in found if all(row[key] == value for key, value in wanted.items())]
    return _respond(Answer(status=200, body={"total": total, name: shown[: _number("limit", len(shown))]}))


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 19 else default
