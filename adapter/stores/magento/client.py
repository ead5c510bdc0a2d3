"""Requests to one Magento store's REST API: the forms of its addresses, its search criteria, its errors, and the ways to present the token.

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
"""The scope of what belongs to no store view."""
FIRST_VIEW = "1"
"""The store view that every installation has."""
_DEFAULT = "default"
_REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_MESSAGE = 200
# How many rows are asked for at once, and how many where the merchant allows fewer.
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
    "since 2.4.4 Magento takes an access token alone only where Stores > Configuration > Services > OAuth > Consumer Settings allows "
    f"tokens as standalone Bearer tokens; allow it there, or set all of {FOUR_SETTINGS}, and requests are signed instead"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered, as JSON."""

    status: int
    document: Any

    @property
    def message(self) -> str:
        """What Magento's error object says, its placeholders filled; "" for anything else."""
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
        """Whether the address stands for nothing at this store: a view that it does not have, or a module."""
        return self.status == 404 and bool(_NO_ROUTE.search(self.message))

    @property
    def wants_fewer(self) -> bool:
        """Whether the merchant allows no page of that size."""
        return self.status == 400 and bool(_PAGE_LIMIT.search(self.message))


class ServerFailed(StoreTrouble):
    """The server broke down over a request, or its gateway lost patience: a smaller one may do."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition of a search."""

    field: str
    condition: str
    value: str


def criteria(filters: Sequence[Filter] = (), *, sort: str = "", size: int) -> dict[str, str]:
    """Search criteria as a query: all of the filters hold, the first page of `size` rows, sorted upwards."""
    query = {"searchCriteria[pageSize]": str(size), "searchCriteria[currentPage]": "1"}
    for number, one in enumerate(filters):
        place = f"searchCriteria[filter_groups][{number}][filters][0]"
        query |= {f"{place}[field]": one.field, f"{place}[value]": one.value, f"{place}[condition_type]": one.condition}
    if sort:
        query |= {"searchCriteria[sortOrders][0][field]": sort, "searchCriteria[sortOrders][0][direction]": "ASC"}
    return query


class Client:
    """Asks one store. Remembers whether its default view is called so, and how long a page may be."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.http
        self._api = shop.store.api
        self._base = f"{(shop.store.api.url or shop.address).rstrip('/')}/"
        self.host = host_of(self._base)
        # An address may come from a payload; a token goes only where the settings say that the shop is.
        self.has_token = bool(self._api.access_token) and self.host in shop.store.named_hosts
        self._is_signed = bool(self._api.consumer_key and self._api.consumer_secret and self._api.access_token_secret)
        self._default = _DEFAULT
        self.most_rows = _MOST_ROWS[0]

    def scope(self, view: str) -> str:
        """The code under which a store view's addresses stand: the one of the settings, else the usual one."""
        return self._api.store_codes.get(view or FIRST_VIEW) or self._default

    def public(self, scope: str, path: str, params: Mapping[str, str], deadline: Deadline) -> Answer:
        """GET an address that anybody may ask, without any credentials. Raises `StoreTrouble` for all but 2xx, 400 and 404."""
        return self._checked(self._in_scope(scope, path, lambda url: self._http.get(url, deadline=deadline, params=params)), "")

    def ask(
        self, scope: str, path: str, params: Mapping[str, str], deadline: Deadline, *, need: str, method: str = "GET", json: Any = None
    ) -> Answer:
        """A request with the token, which needs the resource `need`. Raises `StoreTrouble` for all but 2xx, 400 and 404."""

        def send(url: str) -> Reply:
            reply = self._http.send(method, url, deadline=deadline, params=params, json=json, auth=self._auth())
            if reply.status in _REDIRECTS:  # which would take the token elsewhere
                raise StoreTrouble(f"{self.host} redirects{_target(reply)}: set {ADDRESS_SETTING} to the address that answers")
            return reply

        return self._checked(self._in_scope(scope, path, send), need)

    def graphql(self, view: str, query: str, variables: Mapping[str, Any], deadline: Deadline) -> Any:
        """What the storefront's GraphQL answers in a store view, as it stands; without any credentials."""
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
            raise StoreTrouble(f"{self.host} lets no visitor ask its GraphQL ({answer.status} {answer.message}".rstrip() + ")")
        return answer.document

    def shorten(self) -> bool:
        """Ask for fewer rows from now on; whether that is possible."""
        possible, self.most_rows = self.most_rows != _MOST_ROWS[1], _MOST_ROWS[1]
        return possible

    def by_ids(
        self, scope: str, path: str, ids: Sequence[str], deadline: Deadline, *, need: str = "", params: Mapping[str, str] | None = None
    ) -> list[Any]:
        """The rows with these ids, in as few requests as the store allows; with the token where `need` names what it must be allowed."""
        rows: list[Any] = []
        waiting = list(ids)
        while waiting:
            part = waiting[: self.most_rows]
            query = criteria([Filter("entity_id", "in", ",".join(part))], size=len(part)) | dict(params or {})
            answer = self.ask(scope, path, query, deadline, need=need) if need else self.public(scope, path, query, deadline)
            if answer.wants_fewer and self.shorten():
                continue
            rows += self.items(answer, f"{path} was asked for")
            waiting = waiting[len(part) :]
        return rows

    def items(self, answer: Answer, what: str) -> list[Any]:
        """The rows of a search; raises `StoreTrouble` if the answer is none."""
        document = answer.document
        rows = document.get("items") if isinstance(document, dict) else None
        if answer.status == 200 and rows is None and isinstance(document, dict) and document.get("total_count") == 0:
            return []
        if answer.status != 200 or not isinstance(rows, list):
            raise self.unexpected(answer, what)
        return rows

    def unexpected(self, answer: Answer, what: str) -> StoreTrouble:
        """The trouble with an answer that is not what was asked for."""
        return StoreTrouble(f"{self.host} answered {answer.status} {answer.message or 'with something else'} where {what}")

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
        """Ask in a scope; where the store has no view called `default`, without naming one, and so ever after."""
        prefix = f"{scope}/" if scope else ""
        answer = self._read(send(f"{self._base}rest/{prefix}V1/{path}"))
        if answer.has_no_route and scope == _DEFAULT and scope not in self._api.store_codes.values():
            bare = self._read(send(f"{self._base}rest/V1/{path}"))
            if not bare.has_no_route:
                self._default, answer = "", bare
        return answer

    def _read(self, reply: Reply) -> Answer:
        if reply.status in (429, 503):
            raise StoreTrouble(f"{self.host} answered {reply.status}: too many requests, or under maintenance", wait_s=reply.wait_s)
        try:
            return Answer(reply.status, parse(reply.content))
        except Rejected:
            if reply.status >= 500:
                raise ServerFailed(f"{self.host} answered {reply.status}") from None
            raise StoreTrouble(
                f"{self.host} answered {reply.status} with something that is no JSON: is {ADDRESS_SETTING} the shop's address, and does a "
                "firewall let /rest/ and /graphql pass?"
            ) from None

    def _checked(self, answer: Answer, need: str) -> Answer:
        why = f"{answer.status} {answer.message}".strip()
        if answer.status in (401, 403) and not need:
            raise StoreTrouble(f"{self.host} refuses to tell visitors of its products ({why}): a security extension may close that address")
        if answer.status in (401, 403):
            way = f"check {FOUR_SETTINGS}" if self._is_signed else f"check MAGENTO_ACCESS_TOKEN (access_token in STORES); {_BEARER_OFF}"
            raise StoreTrouble(f"{self.host} refuses the integration ({why}): {way}; its resource access must include {need}")
        if answer.status >= 500:
            raise ServerFailed(f"{self.host} answered {why}")
        if not 200 <= answer.status < 300 and answer.status not in (400, 404):
            raise StoreTrouble(f"{self.host} answered {why}")
        return answer


def magento_id(value: Any) -> str:
    """An id as Magento gives them, "" for anything else: what goes into an address must be nothing but digits."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return text if _ID.fullmatch(text) else ""


def _target(reply: Reply) -> str:
    """Where a redirect leads, without its path and query."""
    try:
        parts = urlsplit(reply.headers.get("Location", ""))
    except ValueError:
        return ""
    return f" to {parts.scheme}://{parts.netloc.rpartition('@')[2][:100]}" if parts.netloc else ""
