"""The web server's connections: Waitress reads and writes them; here they get deadlines, and requests that need no thread.

An app may begin a request in the loop that reads all connections, if that takes microseconds, and answer it later: a webhook that waits
for its commit then occupies no thread. A request that the app does not begin is handled by a thread, as Waitress does it.
"""

import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# How long a client may take to send a head and a whole request, and how long a connection may be idle between requests.
_HEAD_S = 10.0
_REQUEST_S = 30.0
_KEEP_ALIVE_S = 75.0  # longer than platforms' routers keep a connection, so that they never use a closed one
LONGEST_HEAD = 65_536
_LONGEST_CHUNK_LINE = 1_024
_FRAMING = re.compile(rb"\r\n(?:content-length|transfer-encoding):", re.IGNORECASE)
_BEGUN = "adapter.begun"


class Begun(Protocol):
    """A request that was begun and is not answered yet."""

    until: float
    """When it has to be answered, whether it is ready or not, by `time.monotonic`."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer it, without waiting for anything; called once."""


Begin = Callable[["WSGIEnvironment", Callable[[], None]], Begun | None]
"""(environ, ready) -> None if the request needs a thread. `ready` is to be called once, in any thread, when there is an answer."""


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads one request.

    Waitress alone fails over a length or address that Python can't read, takes a chunked body with a length too, and waits for a chunk of
    any size.
    """

    environ: "WSGIEnvironment | None" = None
    begun: Begun | None = None

    def received(self, data: bytes) -> int:
        """Take received bytes; how many."""
        try:
            taken: int = super().received(data)
        except ValueError:  # a Content-Length of more than 4,300 digits
            self._refuse(RequestEntityTooLarge("Content-Length is out of range"))
            return len(data)
        body = self.body_rcv
        if self.chunked and not self.completed and body is not None:
            if body.chunk_remainder > self.adj.max_request_body_size:
                self._refuse(RequestEntityTooLarge(f"exceeds max_body of {self.adj.max_request_body_size}"))
            elif len(body.control_line) > _LONGEST_CHUNK_LINE or len(body.trailer) > LONGEST_HEAD:
                self._refuse(BadRequest("Invalid chunk size"))
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head. Raises `ParsingError` if it has no clear address or length (RFC 9112, sections 6.1 and 6.3)."""
        if len(_FRAMING.findall(header_plus)) > 1:
            raise ParsingError("More than one Content-Length or Transfer-Encoding")
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            if hasattr(self, "path"):  # the address was read: it is the length that can't be
                raise
            raise ParsingError("Bad URI") from error
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding is for HTTP/1.1")

    def _refuse(self, error: Error) -> None:
        self.error = error
        self.completed = True


class _Task(WSGITask):  # type: ignore[misc]
    """Answers a request, with the environment in which it was begun."""

    def get_environment(self) -> "WSGIEnvironment":
        """The WSGI environment."""
        environ: WSGIEnvironment = self.request.environ or super().get_environment()
        return environ


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that records when the current request began to arrive."""

    parser_class = _Parser
    task_class = _Task
    request_begun = 0.0

    def received(self, data: bytes) -> bool:
        """Handle received bytes."""
        if self.request is None:
            self.request_begun = time.time()
        taken: bool = super().received(data)
        return taken

    @property
    def is_busy(self) -> bool:
        """Whether a request is being handled."""
        return bool(self.requests or self.total_outbufs_len)

    def is_late(self, now: float) -> bool:
        """Whether the client takes too long to send a head or a body, or has been idle too long."""
        if self.is_busy:
            return False
        if self.request is None:
            return bool(now - self.last_activity > (_KEEP_ALIVE_S if self.request_begun else _HEAD_S))
        return now - self.request_begun > (_REQUEST_S if self.request.headers_finished else _HEAD_S)


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """Accepts connections, and has their requests handled. To be created in the thread that runs the loop."""

    channel_class = Channel

    def __init__(
        self,
        app: "WSGIApplication",
        sock: socket.socket,
        settings: Adjustments,
        threads: ThreadedTaskDispatcher,
        connections: dict[int, Any],
    ) -> None:
        self._app = app
        self._begin: Begin | None = getattr(app, "begin", None)
        self._loop = threading.get_ident()
        self._waiting: dict[_Parser, Channel] = {}
        """Requests that were begun, the oldest first. One that is answered is taken out, so none is answered twice."""
        self._ready: deque[_Parser] = deque()
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(self._respond, connections, _sock=sock, dispatcher=threads, adj=settings, sockinfo=info, bind_socket=False)

    @property
    def has_begun(self) -> bool:
        """Whether a request was begun and is not answered yet."""
        return bool(self._waiting)

    def add_task(self, channel: Channel) -> None:
        """Have a channel's next request handled."""
        if threading.get_ident() != self._loop or not self._begins(channel):
            super().add_task(channel)

    def _begins(self, channel: Channel) -> bool:
        request: _Parser = channel.requests[0]
        if self._begin is None or request.error:
            return False
        environ = _Task(channel, request).get_environment()
        request.begun = self._begin(environ, lambda: self._is_ready(request))
        if request.begun is None:
            request.get_body_stream().seek(0)
            return False
        environ[_BEGUN] = request.begun
        request.environ = environ
        self._waiting[request] = channel
        return True

    def _is_ready(self, request: _Parser) -> None:
        self._ready.append(request)
        if len(self._ready) == 1:
            self.pull_trigger()

    def answer(self) -> None:
        """Answer the begun requests that are ready, and those that have waited too long."""
        while self._ready:
            self._answer(self._ready.popleft())
        now = time.monotonic()
        while (oldest := next(iter(self._waiting), None)) and oldest.begun and oldest.begun.until <= now:
            self._answer(oldest)

    def _answer(self, request: _Parser) -> None:
        if channel := self._waiting.pop(request, None):
            channel.service()

    def _respond(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        app: WSGIApplication = environ.get(_BEGUN, self._app)
        return app(environ, start_response)

    def pull_trigger(self) -> None:
        """Make the loop look again, unless it is the loop that asks."""
        if threading.get_ident() != self._loop:
            super().pull_trigger()
