"""What the stand-ins of all platforms share: a web server that records each request, and answers as a shop would or as scripted."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from werkzeug.wrappers import Request, Response

from adapter.sandbox.running import serving

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request; `credentials` is the way in which they were sent, "" for none."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    credentials: str


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer in place of the shop's own, to the next request whose path contains `where`."""

    body: bytes | Iterable[bytes] = b'{"code":"scripted","message":"As scripted","data":{}}'
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0
    where: str = ""

    def response(self) -> Response:
        if self.hang:
            time.sleep(self.hang)
        return Response(self.body, self.status, headers=dict(self.headers), mimetype=_JSON)


@dataclass
class StandInShop:
    """What every shop has beside its goods."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    scripted: list[Scripted] = field(default_factory=list)
    """Answers to the next requests, one each."""
    after_page: Callable[[], None] = lambda: None
    """What happens at the shop after each page of orders."""
    nonces: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def is_fresh(self, nonce: str) -> bool:
        """Whether a signature's nonce has not been used before; it counts as used from now on."""
        with self.lock:
            fresh = bool(nonce) and nonce not in self.nonces
            self.nonces.add(nonce)
            return fresh


AnyShop = TypeVar("AnyShop", bound=StandInShop)


class ShopServer(Generic[AnyShop]):
    """A shop's web server, as a WSGI app at `path` of its host."""

    def __init__(self, shop: AnyShop, path: str = "") -> None:
        self.shop = shop
        self.path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        request.get_data()  # an answer before the body's end may never be read
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        shop, body = self.shop, request.get_json() if request.is_json else request.form.to_dict()
        seen = Seen(request.method, request.path, request.args.to_dict(), dict(request.headers), body, self.credentials(request))
        with shop.lock:
            shop.seen.append(seen)
            scripted = shop.scripted.pop(0) if shop.scripted and shop.scripted[0].where in request.path else None
        return scripted.response() if scripted is not None else self.answer(request)

    def credentials(self, request: Request) -> str:
        """How the request's credentials were sent."""
        return ""

    def answer(self, request: Request) -> Response:
        """The shop's own answer."""
        raise NotImplementedError

    @contextmanager
    def serving(self, host: str = "127.0.0.1", port: int = 0, *, tls: tuple[str, str] | None = None) -> Iterator[AnyShop]:
        """Serve the shop from a thread, on a free port by default; over HTTPS with `tls`, the paths of a certificate and its key."""
        with serving(self, host, port, tls=tls) as url:
            self.shop.url = f"{url}{self.path}"
            yield self.shop


def json_response(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, headers=dict(headers or {}), mimetype=_JSON)
