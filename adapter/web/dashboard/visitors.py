"""Who tries to log in: a browser that has logged in before, or else a network.

An IPv4 address is one customer of a provider; with IPv6, a customer gets at least a /64, and can use any address in it. Larger networks are
not taken together: that would let one customer slow down the neighbors.

A browser that has logged in keeps a signed cookie for a year. Its failures are counted by themselves, so that whoever tries passwords from
the same network, or from everywhere, never keeps the owner waiting.
"""

import secrets
from datetime import timedelta
from ipaddress import IPv6Address, ip_network

from flask import request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox.keys import key_of, keyed_digest, known_key
from adapter.settings.addresses import address_of
from adapter.web.dashboard.security import are_cookies_secure, cookie_name

_COOKIE = "drip_adapter_known"
_KEY = "visitors"
_LIFETIME = timedelta(days=365)
_IPV6_CUSTOMER = 64
_SHORT = 16


def visitor(connection: Connection) -> str:
    """The digest that failed log-ins are counted by."""
    return _visitor(key_of(connection, _KEY))


def known_visitor(connection: Connection) -> str:
    """The same without writing; "" if nobody has ever tried to log in."""
    key = known_key(connection, _KEY)
    return _visitor(key) if key else ""


def _visitor(key: bytes) -> str:
    browser = _known_browser(key)
    return keyed_digest(key, f"browser {browser}" if browser else f"network {_network()}")


def network_digest(connection: Connection) -> str:
    """A short digest of the visitor's network, for the audit log: the same network always has the same."""
    return keyed_digest(key_of(connection, _KEY), f"network {_network()}")[:_SHORT]


def new_mark(connection: Connection) -> str:
    """The value of the cookie that marks this browser as one that has logged in; a marked one keeps its name."""
    key = key_of(connection, _KEY)
    marked: str = _serializer(key).dumps(_known_browser(key) or secrets.token_hex(16))
    return marked


def mark_browser(response: Response, mark: str) -> None:
    """Give the browser its mark."""
    name, secure = cookie_name(_COOKIE), are_cookies_secure()
    response.set_cookie(name, mark, max_age=_LIFETIME, httponly=True, secure=secure, samesite="Lax")


def _network() -> str:
    address = address_of(request.remote_addr or "")
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_CUSTOMER), strict=False))
    return str(address or request.remote_addr)


def _known_browser(key: bytes) -> str:
    try:
        name = _serializer(key).loads(request.cookies.get(cookie_name(_COOKIE), ""), max_age=int(_LIFETIME.total_seconds()))
    except BadSignature:
        return ""
    return str(name)


def _serializer(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="known browser")
