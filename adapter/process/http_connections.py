"""The web server's connections: Waitress reads and writes them; here they get deadlines, and requests that need no thread.

An app may begin a request in the loop that reads all connections, if that takes microseconds, and answer it later: a webhook that waits
for its commit then occupies no thread. A request that the app does not begin is handled by a thread, as Waitress does it.
"""

import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

# How long a client may take to send a head and a whole request, and how long a connection may be idle between requests.
_HEAD_S = 10.0
_REQUEST_S = 30.0
_KEEP_ALIVE_S = 75.0  # longer than platforms' routers keep a connection, so that they never use a closed one
# How long, and how much, a client may go on sending after its request was refused.
_LINGER_S = 5.0
_MOST_DISCARDED = 100_000_000
LONGEST_HEAD = 65_536
_LONGEST_CHUNK_LINE = 1_024
# RFC 9112, 5: a field's line. A line that continues the one before doesn't match, and is refused (5.2).
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
# RFC 9112, 3.2 and RFC 3986, 3.2.2: a name or address, and a port; blank if the address has none.
_HOST = re.compile(r"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9a-fA-F:.]+\])(?::[0-9]*)?", re.ASCII)
_LENGTHS = frozenset(["CONTENT_LENGTH", "TRANSFER_ENCODING"])
_OF_WAITRESS = _LENGTHS | {"CONNECTION", "EXPECT"}


class Begun(Protocol):
    """A request that was begun and is not answered yet."""

    until: float
    """When it has to be answered, whether it is ready or not, by `time.monotonic`."""

    def response(self) -> tuple[str, Sequence[tuple[str, str]], bytes]:
        """Status line, headers and body as things are now, without waiting for anything; called once."""


Begin = Callable[["WSGIEnvironment", Callable[[], None]], Begun | None]
"""(environ, ready) -> None if the request needs a thread. `ready` is to be called once, in any thread, when there is an answer."""


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads one request, and answers what is malformed as Waitress does.

    Waitress alone takes a minute for a field of 60,000 spaces, fails over a length or address that Python can't read, takes a chunked body
    with a length too or chunked twice, and waits for a chunk of any size.
    """

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
        """Read the head. Raises `ParsingError` if it has no clear fields, address or length (RFC 9112, sections 3.2, 5.2, 6.1 and 6.3).

        Waitress reads the first line, and the fields that decide where the request ends.
        """
        first, newline, rest = header_plus.partition(b"\r\n")
        fields = [field for line in rest.decode("latin-1").split("\r\n") if line and (field := self._add_field(line))]
        if sum(key in _LENGTHS for key, _ in fields) > 1:
            raise ParsingError("More than one Content-Length or Transfer-Encoding")
        head = "\r\n".join([first.decode("latin-1"), *(line for _, line in fields)]).encode("latin-1")
        try:
            super().parse_header(head + newline)
        except ValueError as error:
            if hasattr(self, "path"):  # the address was read: it is the length that can't be
                raise
            raise ParsingError("Bad URI") from error
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding is for HTTP/1.1")
        if not _HOST.fullmatch(self.headers.get("HOST", "" if self.version != "1.1" else " ")):
            raise ParsingError("Host is missing or malformed")

    def _add_field(self, line: str) -> tuple[str, str] | None:
        """Add a field to the headers; its name and line instead if Waitress is to read it."""
        field = _FIELD.fullmatch(line)
        if field is None:
            raise ParsingError("Invalid header")
        name, value = field.groups()
        if "_" in name:  # an application could not tell it from a hyphen
            return None
        key = name.upper().replace("-", "_")
        if key == "TRANSFER_ENCODING":
            _require_chunked(value)
        if key in _OF_WAITRESS:
            return key, line
        if key == "HOST" and key in self.headers:
            raise ParsingError("More than one Host")
        value = value.strip(" \t")
        self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else value
        return None

    def _refuse(self, error: Error) -> None:
        self.error = error
        self.completed = True


def _require_chunked(codings: str) -> None:
    """Raise `ParsingError` unless the body is chunked last and once. Waitress answers other codings before that."""
    *others, last = (coding.strip(" \t").lower() for coding in codings.split(","))
    if last != "chunked" or {"", last}.intersection(others):
        raise ParsingError("Transfer-Encoding is not chunked, once and last")


class _Task(WSGITask):  # type: ignore[misc]
    """Answers a request."""

    def execute(self) -> None:
        """Write the response."""
        begun: Begun | None = self.request.begun
        if begun is None:
            super().execute()
            return
        self.status, headers, body = begun.response()
        self.response_headers.extend(headers)
        self.content_length = len(body)
        self.complete = self.wrote_header = True
        self.channel.write_soon(self.build_response_header() + body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that records when the current request began to arrive."""

    parser_class = _Parser
    task_class = _Task
    request_begun = 0.0
    close_when_flushed: bool
    is_refused = False
    """Whether the current request was refused, maybe before its end."""
    _lingers_until = 0.0
    _left_to_discard = _MOST_DISCARDED

    def received(self, data: bytes) -> bool:
        """Handle received bytes."""
        if self.request is None:
            self.request_begun = time.time()
        taken: bool = super().received(data)
        return taken

    def handle_write(self) -> None:
        """Send what there is. After an answer that came before the request's end, the connection is closed for writing only.

        A client that still sends would get a reset instead of the answer (RFC 9112, section 9.6).
        """
        if self.is_refused and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close:
                self.close_when_flushed = False
                self._lingers_until = time.time() + _LINGER_S
                with suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)
                return
        super().handle_write()

    def handle_read(self) -> None:
        """Read, or discard what follows a refused request."""
        if not self._lingers_until:
            super().handle_read()
            return
        with suppress(OSError):
            self._left_to_discard -= len(self.recv(self.adj.recv_bytes))  # closes the connection when the client has
            if self._left_to_discard > 0:
                return
        self.handle_close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being handled."""
        return bool(self.requests or self.total_outbufs_len)

    def is_late(self, now: float) -> bool:
        """Whether the client takes too long to send a head or a body, or has been idle too long."""
        if self.is_busy:
            return False
        if self._lingers_until:
            return now > self._lingers_until
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
        self._begin: Begin | None = getattr(app, "begin", None)
        self._loop = threading.get_ident()
        self._waiting: dict[_Parser, Channel] = {}
        """Requests that were begun, the oldest first. One that is answered is taken out, so none is answered twice."""
        self._ready: deque[_Parser] = deque()
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(app, connections, _sock=sock, dispatcher=threads, adj=settings, sockinfo=info, bind_socket=False)

    @property
    def has_begun(self) -> bool:
        """Whether a request was begun and is not answered yet."""
        return bool(self._waiting)

    def add_task(self, channel: Channel) -> None:
        """Have a channel's next request handled."""
        channel.is_refused = channel.requests[0].error is not None
        if threading.get_ident() != self._loop or not self._begins(channel):
            super().add_task(channel)

    def _begins(self, channel: Channel) -> bool:
        request: _Parser = channel.requests[0]
        if self._begin is None or request.error:
            return False
        request.begun = self._begin(_Task(channel, request).get_environment(), lambda: self._is_ready(request))
        if request.begun is None:
            request.get_body_stream().seek(0)
            return False
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

    def pull_trigger(self) -> None:
        """Make the loop look again, unless it is the loop that asks."""
        if threading.get_ident() != self._loop:
            super().pull_trigger()
