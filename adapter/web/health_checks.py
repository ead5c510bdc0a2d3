"""Whether the process runs, and whether it can store webhooks: for platforms, which ask every few seconds."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from adapter import __version__
from adapter.errors import DatabaseAway
from adapter.inbox.readiness import Readiness
from adapter.web.database import UNUSABLE, Inbox
from adapter.web.plain import Answer
from adapter.web.request_ids import named

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
_HEALTH, _READINESS = "/healthz", "/readyz"


class HealthChecks:
    """Answers `/healthz` and `/readyz`, and passes every other request on."""

    def __init__(self, app: "WSGIApplication", inbox: Inbox, readiness: Readiness) -> None:
        self._app = app
        self._inbox = inbox
        self._readiness = readiness
        self._logged = ""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path not in (_HEALTH, _READINESS):
            return self._app(environ, start_response)
        with named(environ) as request_id:
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                answer = Answer(405, {"error": "The method is not allowed for the requested URL."}, [("Allow", "GET, HEAD")])
            elif path == _HEALTH:
                answer = Answer(200, {"status": "ok", "version": __version__})
            else:
                answer = self._ready()
        return answer.send(environ, start_response, request_id)

    def _ready(self) -> Answer:
        """A webhook can be stored. Problems with Drip don't count: they must not take the receiver out of rotation."""
        try:
            self._inbox.run(lambda _: self._readiness.require())
        except DatabaseAway as error:
            self._log_once(str(error))
            return Answer(503, {"status": "not ready", "why": UNUSABLE})
        self._logged = ""
        return Answer(200, {"status": "ready"})

    def _log_once(self, why: str) -> None:
        """Log a reason once: anyone may ask, as often as they like."""
        if why != self._logged:
            self._logged = why
            log.error(why, extra={"action": "database_away"})
