"""A stand-in for Drip: a small web app that enforces the Order Activity contract and keeps what it got in memory.

The two order addresses, and the one that tells whose account it is, behave as Drip's documentation says (pages "Order Activity",
"Batch API", "Accounts", "Authentication", "Rate limiting", "Errors"); any token opens any account. Where it is silent: a body that is
not JSON, or not sent as `application/json`, is 400; a request spends quota unless it is refused for want of credentials or of quota;
the code of a 401 is `authentication_error`. The contract decides what an order is, so the actions are `created` and `updated`.

Everything else is for people and tests and needs no credentials: `/`, `/received`, `/requests`, `/answers`. State belongs to one
process: run it with threads, not with several workers.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, Literal, TypeVar
from uuid import uuid4

from flask import Flask, Response, render_template_string, request
from marshmallow import Schema, ValidationError, fields, post_load, validate
from simplejson import RawJSON
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.serving import WSGIRequestHandler, make_server

from mappings import OrderActivity, Rejected, dotted, encode, parse, timestamp
from mappings._contract import EMAIL, FORMAT, LENGTH, PRESENCE, RANGE, TIME, URL

Kind = Literal["single", "batch"]
_Entry = TypeVar("_Entry")

MOST_BODY_BYTES = 10_000_000
MOST_ORDERS_A_BATCH = 1000
LONGEST_HANG = 120
# Far less than Python's own limit, so that what was taken can also be shown.
_DEEPEST = 100
_MOST_ACCOUNTS = 10_000
_SHOWN_ON_PAGE = 50

_CODES = {
    PRESENCE: "presence_error",
    FORMAT: "format_error",
    EMAIL: "email_error",
    URL: "url_error",
    TIME: "time_error",
    RANGE: "range_error",
    LENGTH: "length_error",
}
_REFUSALS = {
    400: ("format_error", "The body is not what application/json promises"),
    401: ("authentication_error", "Authentication failed, check your credentials"),
    403: ("authorization_error", "You are not authorized to access this resource"),
    404: ("not_found_error", "The resource you requested was not found"),
    413: ("length_error", f"The body is longer than {MOST_BODY_BYTES} bytes"),
}
# Word for word from the page "Rate limiting", with its spelling.
_OVER_LIMIT = {
    "message": "API rate limit exceeded. Please try again in an hour.",
    "documentation": "https://www.getdrip.com/docs/rest-api#rate-limting",
}
_CONTRACT = OrderActivity()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer to be; `body` is a JSON document."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What a request's body holds. `problem` is how Drip would refuse it; without one, every order keeps the contract."""

    orders: tuple[Any, ...] = ()
    problem: Answer | None = None

    @property
    def order_ids(self) -> list[str]:
        return [str(order.get("order_id")) if isinstance(order, dict) else "" for order in self.orders]


@dataclass(frozen=True, kw_only=True)
class Received:
    """An accepted order; `order` is its JSON, with every digit as posted."""

    account: str
    kind: Kind
    request_id: str
    received_at: str
    order_id: str
    order: RawJSON


@dataclass(kw_only=True)
class Seen:
    """A request as it came in; `status` stays None while it waits, and for good if it was dropped."""

    account: str | None
    kind: Kind | None
    path: str
    auth: str | None
    user_agent: str | None
    at: str
    order_id: str | None = None
    orders: int = 0
    status: int | None = None
    dropped: bool = False
    ended_at: str | None = None

    def end(self, status: int | None) -> None:
        self.status, self.dropped, self.ended_at = status, status is None, _now()


@dataclass(kw_only=True)
class Told:
    """A rule: what to answer instead, to which requests, and how often. None is any request, no end, or as usual."""

    status: int | None = None
    times: int | None = None
    kind: Kind | None = None
    account: str | None = None
    order_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    hang: float | None = None
    drop: bool = False
    record: bool | None = None

    @property
    def refuses(self) -> bool:
        return self.status is not None and not 200 <= self.status < 300

    @property
    def records(self) -> bool:
        return not (self.drop or self.refuses) if self.record is None else self.record

    def fits(self, account: str, kind: Kind | None, order_ids: list[str]) -> bool:
        """Whether it speaks of this request; of a batch if it holds the order."""
        return self.account in (None, account) and self.kind in (None, kind) and (self.order_id is None or self.order_id in order_ids)


class ToldSchema(Schema):
    """The body of `PUT /answers`."""

    status = fields.Integer(strict=True, allow_none=True, validate=validate.Range(200, 599))
    times = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=1))
    kind = fields.String(allow_none=True, validate=validate.OneOf(("single", "batch")))
    account = fields.String(allow_none=True)
    order_id = fields.String(allow_none=True)
    headers = fields.Dict(
        keys=fields.String(validate=validate.Regexp(r"[A-Za-z0-9-]+\Z")),
        values=fields.String(validate=validate.Regexp(r"[\x20-\x7e]*\Z")),
    )
    body = fields.Dict(allow_none=True)
    hang = fields.Float(allow_none=True, validate=validate.Range(0, LONGEST_HANG))
    drop = fields.Boolean()
    record = fields.Boolean(allow_none=True)

    @post_load
    def make(self, values: dict[str, Any], **kwargs: Any) -> Told:
        return Told(**values)


class Log(Generic[_Entry]):
    """The newest `keep` entries, numbered from 0 in the order in which they came."""

    def __init__(self, keep: int) -> None:
        self._entries: deque[_Entry] = deque(maxlen=keep)
        self.total = 0

    def add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self.total += 1

    def since(self, index: int) -> Iterator[tuple[int, _Entry]]:
        """Those still kept from number `index` on, each with its number."""
        oldest = self.total - len(self._entries)
        first = max(index, oldest)
        return enumerate(islice(self._entries, first - oldest, None), first)


class State:
    """All that the stand-in remembers; each method is one step for every thread."""

    def __init__(
        self, limits: Mapping[Kind, int], *, enforce: bool, hour: float, keep: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits, self.enforce, self.hour, self.keep, self.clock = limits, enforce, hour, keep, clock
        self._lock = threading.Lock()
        self._told: list[Told] = []
        self._released = threading.Event()
        self._windows: dict[tuple[str, Kind], deque[float]] = {}
        self._received: Log[Received] = Log(keep)
        self._requests: Log[Seen] = Log(keep)

    def spend(self, account: str, kind: Kind, *, free: bool) -> tuple[bool, int]:
        """Take one request from the quota of the last hour unless it is free or there is none; whether it may go on, and what remains."""
        limit, now = self.limits[kind], self.clock()
        with self._lock:
            if len(self._windows) > _MOST_ACCOUNTS:
                self._windows = {key: spent for key, spent in self._windows.items() if spent and now - spent[-1] < self.hour}
            window = self._windows.setdefault((account, kind), deque(maxlen=limit))
            while window and now - window[0] >= self.hour:
                window.popleft()
            allowed = free or not self.enforce or len(window) < limit
            if allowed and not free:
                window.append(now)
            return allowed, limit - len(window)

    def see(self, seen: Seen) -> Seen:
        with self._lock:
            self._requests.add(seen)
        return seen

    def accept(self, account: str, kind: Kind, orders: tuple[Any, ...], *, record: bool) -> Answer:
        """The 202 for orders that keep the contract, recorded or, as if Drip lost them, not."""
        received = [
            Received(
                account=account,
                kind=kind,
                request_id=str(uuid4()),
                received_at=_now(),
                order_id=order["order_id"],
                order=RawJSON(encode(order).decode()),
            )
            for order in orders
        ]
        with self._lock:
            for entry in received if record else ():
                self._received.add(entry)
        ids = [entry.request_id for entry in received]
        return Answer(status=202, body={"request_id": ids[0]} if kind == "single" else {"request_ids": ids})

    def tell(self, told: Told) -> None:
        with self._lock:
            self._told.append(told)

    def told(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(told) for told in self._told]

    def instead(self, account: str, kind: Kind | None, order_ids: list[str]) -> tuple[Told, threading.Event] | None:
        """The first rule for this request, one time less, and what ends its waiting."""
        with self._lock:
            told = next((told for told in self._told if told.fits(account, kind, order_ids)), None)
            if told is None:
                return None
            if told.times is not None:
                told.times -= 1
                if not told.times:
                    self._told.remove(told)
            return told, self._released

    def untell(self) -> None:
        """Forget all rules and end all waiting."""
        with self._lock:
            self._told.clear()
            self._released.set()
            self._released = threading.Event()

    def received(self, since: int = 0) -> tuple[int, list[tuple[int, Received]]]:
        """How many orders were ever accepted, and those still kept, oldest first."""
        with self._lock:
            return self._received.total, list(self._received.since(since))

    def requests(self, since: int = 0) -> tuple[int, list[tuple[int, Seen]]]:
        """How many requests ever came, and those still kept, oldest first."""
        with self._lock:
            return self._requests.total, list(self._requests.since(since))

    def forget_received(self) -> None:
        with self._lock:
            self._received = Log(self.keep)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests = Log(self.keep)


def read_posted(kind: Kind, content_type: str, payload: bytes) -> Posted:
    """Judge a body by the contract."""
    if content_type != "application/json":
        return Posted(problem=_errors(400, [("format_error", "Content-Type", "must be application/json")]))
    try:
        document = parse(payload)
    except Rejected as error:
        return Posted(problem=_errors(400, [("format_error", "", str(error))]))
    if _deeper(document, _DEEPEST):
        return Posted(problem=_errors(400, [("format_error", "", f"The body is nested deeper than {_DEEPEST} levels")]))
    if not isinstance(document, dict):
        return Posted(problem=_errors(422, [("format_error", "", "The body must be a JSON object")]))
    if kind == "batch":
        return _read_batch(document.get("orders"))
    return Posted(orders=(document,), problem=_breaches([("", document)]))


def _read_batch(orders: Any) -> Posted:
    if not isinstance(orders, list):
        code, why = ("presence_error", PRESENCE) if orders is None else ("format_error", FORMAT)
        return Posted(problem=_errors(422, [(code, "orders", why)]))
    if not 1 <= len(orders) <= MOST_ORDERS_A_BATCH:
        return Posted(problem=_errors(422, [("length_error", "orders", f"must hold 1 to {MOST_ORDERS_A_BATCH} orders")]))
    return Posted(orders=tuple(orders), problem=_breaches([(f"orders.{index}", order) for index, order in enumerate(orders)]))


def _deeper(document: Any, levels: int) -> bool:
    layer = [document]
    for _ in range(levels + 1):
        layer = [inner for node in layer if isinstance(node, (dict, list)) for inner in (node.values() if isinstance(node, dict) else node)]
        if not layer:
            return False
    return True


def _breaches(orders: list[tuple[str, Any]]) -> Answer | None:
    problems: dict[str, list[str]] = {}
    for path, order in orders:
        problems |= dotted(_CONTRACT.validate(order), path) if isinstance(order, dict) else {path: [FORMAT]}
    if not problems:
        return None
    return _errors(422, [(_CODES.get(why, "format_error"), path, why) for path, reasons in problems.items() for why in reasons])


def _errors(status: int, problems: list[tuple[str, str, str]]) -> Answer:
    """A refusal in Drip's form, from (code, attribute, message)."""
    errors = [
        {"code": code, "attribute": attribute, "message": f"{attribute} {message}"} if attribute else {"code": code, "message": message}
        for code, attribute, message in problems
    ]
    return Answer(status=status, body={"errors": errors})


def refusal(status: int, kind: Kind = "single") -> Answer:
    """Drip's usual body for a status that refuses a whole request."""
    if status == 429:
        return Answer(status=429, body=_OVER_LIMIT)
    if status == 422:
        attribute = "email" if kind == "single" else "orders.0.email"
        return _errors(422, [("email_error", attribute, "was refused as told")])
    if status in _REFUSALS:
        code, message = _REFUSALS[status]
    else:
        code, message = ("internal_error" if status >= 500 else "error"), HTTP_STATUS_CODES.get(status, "Unknown status")
    headers = {"WWW-Authenticate": 'Basic realm="Drip"'} if status == 401 else {}
    return Answer(status=status, body={"errors": [{"code": code, "message": message}]}, headers=headers)


class Sandbox:
    """The views. An order request is: credentials, quota, told answers, contract."""

    def __init__(self, state: State) -> None:
        self.state = state

    def routes(self) -> tuple[tuple[str, str, Callable[..., Response]], ...]:
        """Method, path and view of every address."""
        return (
            ("POST", "/v3/<account>/shopper_activity/order", self.single),
            ("POST", "/v3/<account>/shopper_activity/order/batch", self.batch),
            ("GET", "/v2/accounts/<account>", self.account),
            ("GET", "/received", self.received),
            ("DELETE", "/received", self.forget_received),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
            ("GET", "/answers", self.told),
            ("PUT", "/answers", self.tell),
            ("DELETE", "/answers", self.untell),
            ("GET", "/", self.page),
        )

    def single(self, account: str) -> Response:
        return self._post(account, "single")

    def batch(self, account: str) -> Response:
        return self._post(account, "batch")

    def _post(self, account: str, kind: Kind) -> Response:
        seen = self.state.see(_seen(account, kind))
        try:
            payload: bytes | None = request.get_data()  # in any case, since an answer before the body's end may never be read
        except RequestEntityTooLarge:
            payload = None
        allowed, remaining = self.state.spend(account, kind, free=seen.auth is None)
        if seen.auth is None:
            answer: Answer | None = refusal(401)
        else:
            answer = self._judge(seen, account, kind, payload) if allowed else refusal(429)
        return _end(seen, answer, {"X-RateLimit-Limit": str(self.state.limits[kind]), "X-RateLimit-Remaining": str(remaining)})

    def account(self, account: str) -> Response:
        """`GET /v2/accounts/<account>`: the fields by which an account is known. Rules for no kind count here as well."""
        seen = self.state.see(_seen(account, None))
        if seen.auth is None:
            return _end(seen, refusal(401))
        known = {"id": account, "name": "Stand-in for Drip", "href": request.base_url}
        answer = Answer(status=200, body={"links": {}, "accounts": [known]})
        rule = self.state.instead(account, None, [])
        return _end(seen, answer if rule is None else _instead(answer, "single", *rule))

    def _judge(self, seen: Seen, account: str, kind: Kind, payload: bytes | None) -> Answer | None:
        """The answer to an admitted request; None for none at all."""
        posted = Posted(problem=refusal(413)) if payload is None else read_posted(kind, request.mimetype, payload)
        order_ids = posted.order_ids
        seen.orders, seen.order_id = len(order_ids), order_ids[0] if kind == "single" and order_ids else None
        rule = self.state.instead(account, kind, order_ids)
        record = rule is None or rule[0].records
        answer = posted.problem or self.state.accept(account, kind, posted.orders, record=record)
        return answer if rule is None else _instead(answer, kind, *rule)

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

    def tell(self) -> Response:
        """`PUT /answers`: add a rule."""
        try:
            self.state.tell(ToldSchema().load(parse(request.get_data())))
        except Rejected as error:
            return _respond(_errors(400, [("format_error", "", str(error))]))
        except ValidationError as error:
            problems = dotted(error.messages)
            return _respond(_errors(422, [("format_error", path, why) for path, reasons in problems.items() for why in reasons]))
        return self.told()

    def told(self) -> Response:
        """`GET /answers`: the rules that have times left."""
        return _respond(Answer(status=200, body={"answers": self.state.told()}))

    def untell(self) -> Response:
        self.state.untell()
        return Response(status=204)

    def page(self) -> Response:
        """`GET /`: what this is, and the newest orders."""
        total, rows = self.state.received()
        shown = [(row, parse(row.order.encoded_json.encode())) for _, row in reversed(rows[-_SHOWN_ON_PAGE:])]
        response = Response(render_template_string(_PAGE, total=total, shown=shown, limits=self.state.limits), mimetype="text/html")
        response.headers["Content-Security-Policy"] = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def failed(self, error: HTTPException) -> Response:
        """Any other address, in Drip's form; a wrong method is as unknown as a wrong address."""
        status = 404 if error.code in (None, 404, 405) else error.code
        if status == 404 and request.path.startswith(("/v2/", "/v3/")):
            self.state.see(_seen(None, None)).end(status)
        return _respond(refusal(status))


def create_sandbox(
    *,
    single_limit: int = 3600,
    batch_limit: int = 50,
    enforce_limits: bool = True,
    hour: float = 3600,
    keep: int = 100_000,
) -> Flask:
    """The stand-in as a WSGI app.

    `hour` is the length in seconds of the window that the limits count in; `keep` is how many orders, and how many requests, are
    remembered. Without `enforce_limits` the quota is told but never refused.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    sandbox = Sandbox(State({"single": single_limit, "batch": batch_limit}, enforce=enforce_limits, hour=hour, keep=keep))
    app.extensions["sandbox"] = sandbox
    for method, path, view in sandbox.routes():
        app.add_url_rule(path, view.__name__, view, methods=[method], provide_automatic_options=False)
    app.register_error_handler(HTTPException, sandbox.failed)
    return app


@dataclass(frozen=True, kw_only=True)
class RunningSandbox:
    """A stand-in that answers at `url`."""

    url: str
    app: Flask


@contextmanager
def running_sandbox(host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[RunningSandbox]:
    """Serve a stand-in from a thread, on a free port by default; `options` are those of `create_sandbox`.

    On leaving, whatever still hangs is released.
    """
    app = create_sandbox(**options)
    server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True)
    thread.start()
    try:
        yield RunningSandbox(url=f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}", app=app)
    finally:
        app.extensions["sandbox"].untell()
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: `GET /requests` tells."""


def _instead(answer: Answer, kind: Kind, told: Told, released: threading.Event) -> Answer | None:
    """What a rule makes of the usual answer, after waiting as told; None for a connection to be dropped."""
    if told.hang:
        released.wait(told.hang)
    if told.drop:
        return None
    if told.status is not None and told.refuses:
        answer = refusal(told.status, kind)
    elif told.status is not None and answer.status == 202:
        answer = Answer(status=told.status, body=answer.body)
    body = answer.body if told.body is None else told.body
    return Answer(status=answer.status, body=body, headers={**answer.headers, **told.headers})


def _seen(account: str | None, kind: Kind | None) -> Seen:
    agent = request.headers.get("User-Agent")
    return Seen(account=account, kind=kind, path=request.path, auth=_auth_scheme(), user_agent=agent, at=_now())


def _end(seen: Seen, answer: Answer | None, headers: Mapping[str, str] | None = None) -> Response:
    """Send an answer and write it down; None drops the connection."""
    seen.end(answer.status if answer else None)
    if answer is None:
        _drop_connection()
        return Response(status=500)  # to a closed socket
    return _respond(Answer(status=answer.status, body=answer.body, headers={**(headers or {}), **answer.headers}))


def _auth_scheme() -> str | None:
    """`basic` or `bearer` if the request carries a token that way."""
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
        raise RuntimeError("told to drop the connection, but the server does not hand out its socket: use werkzeug or gunicorn")
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)


def _respond(answer: Answer) -> Response:
    body = None if answer.status in (204, 304) else encode(answer.body)
    return Response(body, answer.status, headers=dict(answer.headers), mimetype="application/json")


def _listing(total: int, name: str, rows: Sequence[tuple[int, Any]], filters: tuple[str, ...]) -> Response:
    """Numbered entries that have what the query asks for."""
    wanted = {key: request.args[key] for key in filters if key in request.args}
    found = ((index, vars(row)) for index, row in rows)
    shown = [{"index": index} | row for index, row in found if all(row[key] == value for key, value in wanted.items())]
    return _respond(Answer(status=200, body={"total": total, name: shown[: _number("limit", len(shown))]}))


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 19 else default


def _now() -> str:
    return timestamp(datetime.now(UTC))


_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Stand-in for Drip</title></head>
<body>
<h1>Stand-in for Drip</h1>
<p>This is not Drip. It takes order activities as Drip's documentation says, refuses what breaks the contract, and keeps the rest in
memory.</p>
<p>An account may post {{ limits["single"] }} single and {{ limits["batch"] }} batch requests an hour.
See <a href="/received">the orders received</a>, <a href="/requests">the requests seen</a> and <a href="/answers">the answers told</a>.</p>
<h2>{{ total }} received{% if total > shown|length %}, the last {{ shown|length }}{% endif %}</h2>
<table>
<thead><tr><th>Received</th><th>Account</th><th>Kind</th><th>Action</th><th>Order</th><th>Person</th><th>Total</th><th>Items</th></tr></thead>
<tbody>
{%- for row, order in shown %}
<tr><td>{{ row.received_at }}</td><td>{{ row.account }}</td><td>{{ row.kind }}</td><td>{{ order.action }}</td>
<td>{{ row.order_id }} {{ order.order_public_id or "" }}</td><td>{{ order.person_id or order.email }}</td>
<td>{{ "" if order.grand_total is none else order.grand_total }} {{ order.currency or "" }}</td>
<td>{{ (order["items"] or [])|length }}</td></tr>
{%- endfor %}
</tbody>
</table>
</body>
</html>
"""
