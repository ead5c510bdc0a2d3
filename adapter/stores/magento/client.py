"""Requests to one Magento store's REST API: addresses, search criteria, errors, and authentication.

Facts from AdobeDocs/commerce-webapi (performing searches, token- and OAuth-based authentication, error responses) and magento/magento2
(Webapi/Controller/PathProcessor.php, Webapi/Validator/SearchCriteriaValidator.php).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from requests.auth import AuthBase
from requests_oauthlib import OAuth1

from adapter.stores.api import Shop
from adapter.stores.http import BearerToken, Deadline, Reply, StoreTrouble, host_of
from mappings import Rejected, parse

ALL = "all"
"""The scope for data that doesn't belong to a store view."""
FIRST_VIEW = "1"
"""The id of the store view that every installation has."""
_DEFAULT = "default"
_REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_MESSAGE = 200
# Rows per request, and rows per request if the merchant allows only fewer.
_MOST_ROWS = (100, 20)
_PAGE_LIMIT = re.compile(r"page ?size", re.IGNORECASE)
_NO_ROUTE = re.compile(r"not match any route", re.IGNORECASE)
_ID = re.compile(r"[1-9][0-9]{0,19}")
ADDRESS_SETTING = "MAGENTO_STORE_URL (store_url or api_url in STORES)"
FOUR_SETTINGS = (
    "MAGENTO_CONSUMER_KEY, MAGENTO_CONSUMER_SECRET, MAGENTO_ACCESS_TOKEN and MAGENTO_ACCESS_TOKEN_SECRET "
    "(consumer_key, consumer_secret, access_token and access_token_secret in STORES)"
)
_BEARER_OFF = (
    "since 2.4.4 Magento accepts an access token alone only if Stores > Configuration > Services > OAuth > Consumer Settings allows "
    f"OAuth access tokens as standalone Bearer tokens. Allow it there, or set all of {FOUR_SETTINGS} to sign requests instead"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A store's answer, parsed from JSON."""

    status: int
    document: Any

    @property
    def message(self) -> str:
        """The message of Magento's error object, with its placeholders filled in; "" if there is none."""
        if not isinstance(self.document, dict) or not isinstance(self.document.get("message"), str):
            return ""
        message, given = self.document["message"], self.document.get("parameters")
        pairs = given.items() if isinstance(given, dict) else enumerate(given, 1) if isinstance(given, list) else ()
        for name, value in pairs:
            if isinstance(value, (str, int)):
                message = message.replace(f"%{name}", str(value))
        return "".join(character for character in message if character.isprintable())[:_LONGEST_MESSAGE].strip()

    @property
    def has_no_route(self) -> bool:
        """Whether the store has nothing at this address, because it lacks the store view or the module."""
        return self.status == 404 and bool(_NO_ROUTE.search(self.message))

    @property
    def wants_fewer(self) -> bool:
        """Whether the merchant allows only smaller pages."""
        return self.status == 400 and bool(_PAGE_LIMIT.search(self.message))


class ServerFailed(StoreTrouble):
    """The server failed, or its gateway timed out. A smaller request may succeed."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A search condition."""

    field: str
    condition: str
    value: str


def criteria(filters: Sequence[Filter] = (), *, sort: str = "", size: int) -> dict[str, str]:
    """Search criteria as query parameters: rows that match all filters, the first `size` of them in ascending order."""
    query = {"searchCriteria[pageSize]": str(size), "searchCriteria[currentPage]": "1"}
    for number, one in enumerate(filters):
        place = f"searchCriteria[filter_groups][{number}][filters][0]"
        query |= {f"{place}[field]": one.field, f"{place}[value]": one.value, f"{place}[condition_type]": one.condition}
    if sort:
        query |= {"searchCriteria[sortOrders][0][field]": sort, "searchCriteria[sortOrders][0][direction]": "ASC"}
    return query


class Client:
    """Sends requests to one store. Remembers whether its default view is called `default`, and how long a page may be."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.http
        self._api = shop.store.api
        self._base = f"{(shop.store.api.url or shop.address).rstrip('/')}/"
        self.host = host_of(self._base)
        # An address may come from a payload. The token is sent only to the hosts named in the settings.
        self.has_token = bool(self._api.access_token) and self.host in shop.store.named_hosts
        self._is_signed = bool(self._api.consumer_key and self._api.consumer_secret and self._api.access_token_secret)
        self._default = _DEFAULT
        self.most_rows = _MOST_ROWS[0]

    def scope(self, view: str) -> str:
        """The code in a store view's addresses: from the settings, or else the default one."""
        return self._api.store_codes.get(view or FIRST_VIEW) or self._default

    def public(self, scope: str, path: str, params: Mapping[str, str], deadline: Deadline) -> Answer:
        """GET a public address without credentials. Raises `StoreTrouble` unless the status is 2xx, 400 or 404."""
        return self._checked(self._in_scope(scope, path, lambda url: self._http.get(url, deadline=deadline, params=params)), "")

    def ask(
        self, scope: str, path: str, params: Mapping[str, str], deadline: Deadline, *, need: str, method: str = "GET", json: Any = None
    ) -> Answer:
        """A request with the token, which needs access to `need`. Raises `StoreTrouble` unless the status is 2xx, 400 or 404."""

        def send(url: str) -> Reply:
            reply = self._http.send(method, url, deadline=deadline, params=params, json=json, auth=self._auth())
            if reply.status in _REDIRECTS:  # following it would send the token elsewhere
                raise StoreTrouble(f"{self.host} redirects{_target(reply)}: set {ADDRESS_SETTING} to the address that answers")
            return reply

        return self._checked(self._in_scope(scope, path, send), need)

    def graphql(self, view: str, query: str, variables: Mapping[str, Any], deadline: Deadline) -> Any:
        """The answer of the storefront's GraphQL for a store view; requested without credentials."""
        code = self._api.store_codes.get(view or FIRST_VIEW)
        reply = self._http.send(
            "POST",
            f"{self._base}graphql",
            deadline=deadline,
            json={"query": query, "variables": variables},
            headers={"Store": code} if code else None,
        )
        if reply.status in _REDIRECTS:
            raise StoreTrouble(f"{self.host} redirects{_target(reply)}: set {ADDRESS_SETTING} to the address that answers")
        answer = self._read(reply)
        if answer.status in (401, 403, 404):
            raise StoreTrouble(f"{self.host} doesn't allow public GraphQL requests ({answer.status} {answer.message}".rstrip() + ")")
        return answer.document

    def shorten(self) -> bool:
        """Request fewer rows from now on. Returns whether that is possible."""
        possible, self.most_rows = self.most_rows != _MOST_ROWS[1], _MOST_ROWS[1]
        return possible

    def by_ids(
        self, scope: str, path: str, ids: Sequence[str], deadline: Deadline, *, need: str = "", params: Mapping[str, str] | None = None
    ) -> list[Any]:
        """The rows with these ids, in as few requests as possible; with the token if `need` names the access that it takes."""
        rows: list[Any] = []
        waiting = list(ids)
        while waiting:
            part = waiting[: self.most_rows]
            query = criteria([Filter("entity_id", "in", ",".join(part))], size=len(part)) | dict(params or {})
            answer = self.ask(scope, path, query, deadline, need=need) if need else self.public(scope, path, query, deadline)
            if answer.wants_fewer and self.shorten():
                continue
            rows += self.items(answer, path)
            waiting = waiting[len(part) :]
        return rows

    def items(self, answer: Answer, what: str) -> list[Any]:
        """The rows of a search result; raises `StoreTrouble` if the answer isn't one. `what` was requested."""
        document = answer.document
        rows = document.get("items") if isinstance(document, dict) else None
        if answer.status == 200 and rows is None and isinstance(document, dict) and document.get("total_count") == 0:
            return []
        if answer.status != 200 or not isinstance(rows, list):
            raise self.unexpected(answer, what)
        return rows

    def unexpected(self, answer: Answer, what: str) -> StoreTrouble:
        """The error for an answer that doesn't contain what was requested."""
        return StoreTrouble(f"{self.host} answered {answer.status} to a request for {what}: {answer.message or 'unexpected content'}")

    def _auth(self) -> AuthBase:
        if not self._is_signed:
            return BearerToken(self._api.access_token)
        auth: AuthBase = OAuth1(
            self._api.consumer_key,
            client_secret=self._api.consumer_secret,
            resource_owner_key=self._api.access_token,
            resource_owner_secret=self._api.access_token_secret,
            signature_method="HMAC-SHA256",
        )
        return auth

    def _in_scope(self, scope: str, path: str, send: Callable[[str], Reply]) -> Answer:
        """Request a path in a scope. If the store has no view called `default`, this and all later requests name none."""
        prefix = f"{scope}/" if scope else ""
        answer = self._read(send(f"{self._base}rest/{prefix}V1/{path}"))
        if answer.has_no_route and scope == _DEFAULT and scope not in self._api.store_codes.values():
            bare = self._read(send(f"{self._base}rest/V1/{path}"))
            if not bare.has_no_route:
                self._default, answer = "", bare
        return answer

    def _read(self, reply: Reply) -> Answer:
        if reply.status in (429, 503):
            raise StoreTrouble(f"{self.host} answered {reply.status}: too many requests, or in maintenance mode", wait_s=reply.wait_s)
        try:
            return Answer(reply.status, parse(reply.content))
        except Rejected:
            if reply.status >= 500:
                raise ServerFailed(f"{self.host} answered {reply.status}") from None
            raise StoreTrouble(
                f"{self.host} answered {reply.status} with something other than JSON: check that {ADDRESS_SETTING} is the store's address "
                "and that no firewall blocks /rest/ and /graphql"
            ) from None

    def _checked(self, answer: Answer, need: str) -> Answer:
        why = f"{answer.status} {answer.message}".strip()
        if answer.status in (401, 403) and not need:
            raise StoreTrouble(f"{self.host} doesn't allow public product requests ({why}): a security extension may block that address")
        if answer.status in (401, 403):
            way = f"check {FOUR_SETTINGS}" if self._is_signed else f"check MAGENTO_ACCESS_TOKEN (access_token in STORES): {_BEARER_OFF}"
            raise StoreTrouble(f"{self.host} rejected the integration ({why}): {way}. The integration needs access to {need}")
        if answer.status >= 500:
            raise ServerFailed(f"{self.host} answered {why}")
        if not 200 <= answer.status < 300 and answer.status not in (400, 404):
            raise StoreTrouble(f"{self.host} answered {why}")
        return answer


def magento_id(value: Any) -> str:
    """A Magento id, which is only digits and so is safe in an address; "" for anything else."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return text if _ID.fullmatch(text) else ""


def _target(reply: Reply) -> str:
    """The target of a redirect, without path and query."""
    try:
        parts = urlsplit(reply.headers.get("Location", ""))
    except ValueError:
        return ""
    return f" to {parts.scheme}://{parts.netloc.rpartition('@')[2][:100]}" if parts.netloc else ""
