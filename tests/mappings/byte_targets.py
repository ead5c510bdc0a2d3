"""Functions that meet bytes from outside, each with what must hold of any bytes; to be searched for a counterexample.

`tests.mappings.test_byte_targets` searches with hypothesis, and `python -m tests.mappings.coverage_guided` with atheris.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import requests

from mappings import PROVIDERS, Credentials, KeyAway, Rejected, Verdict, encode, parse
from mappings.core.fields import Text
from mappings.core.text import absolute_url, campaign, first_email, origin, path_only, plain, product_name, slug
from mappings.magento.adobe_signature import is_public_key
from tests.support.fixture_cases import CASES, FIXTURES

_KEY_SERVER = "https://static.adobeioevents.com"
_SECRET = "a-secret-of-this-test"
_VECTORS = FIXTURES.parent / "tests" / "vectors"
_LONGEST_SEED = 2_000


@dataclass(frozen=True)
class Target:
    """`check` raises for a counterexample, and returns how far the bytes got: the further, the more of the code has seen them."""

    name: str
    check: Callable[[bytes], float]
    seeds: tuple[bytes, ...]


def _read_as_python_does(data: bytes) -> float:
    """Payloads that Python's own reader takes are read to the same document, and no others are."""
    expected, document, why = _by_python(data), _NO_JSON, ""
    try:
        document = parse(data)
    except Rejected as rejected:
        why = str(rejected.problems)
    assert (document is _NO_JSON) == bool(why)
    if document is _NO_JSON or expected is _NO_JSON:
        assert document is expected or "nested" in why, why
        return 0.0
    assert _storable(document) == _storable(expected)
    return float(len(encode(document)))


_NO_JSON = object()


def _by_python(data: bytes) -> Any:
    try:
        return json.loads(data.removeprefix(b"\xef\xbb\xbf").decode(), parse_float=_number, parse_int=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NO_JSON


def _number(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _storable(node: Any) -> Any:
    """A document in which what no database stores is replaced, numbers are of one kind, and True is not 1."""
    if isinstance(node, dict):
        return {_storable(key): _storable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_storable(each) for each in node]
    if isinstance(node, str):
        return "".join("\ufffd" if each == "\0" or "\ud800" <= each <= "\udfff" else each for each in node)
    return ("bool", node) if isinstance(node, bool) else Decimal(node) if isinstance(node, int) else node


def _never_genuine(data: bytes) -> float:
    """No headers and no body prove anything without the secret. A line of the data for each header, then the body."""
    lines, _, payload = data.partition(b"\n\n")
    values = [line.decode("latin-1") for line in lines.split(b"\n")]
    got = 0
    for scheme in chain.from_iterable(provider.schemes.values() for provider in PROVIDERS.values()):
        headers = dict(zip(scheme.headers, values, strict=False)) | {"webhook-id": values[-1], "webhook-timestamp": values[-1]}
        verdict = scheme.verify(headers, payload, Credentials(secrets=(_SECRET,), username="u", client_id="c", public_key=_SECRET))
        assert verdict is not Verdict.GENUINE, scheme.headers
        got += verdict is not Verdict.MISSING
    return float(got)


def _stays_on_the_key_server(data: bytes) -> float:
    """Whatever path a request names, a key is fetched from Adobe's folder of keys, if at all."""
    fetched: list[str] = []

    def fetch(path: str) -> bytes:
        fetched.append(path)
        raise KeyAway

    path = data.decode("latin-1")
    headers = {"x-adobe-digital-signature-1": "AA==", "x-adobe-public-key1-path": path, "x-adobe-digital-signature-2": path}
    scheme = PROVIDERS["magento"].schemes["adobe_io"]
    assert scheme.verify(headers, b"{}", Credentials(secrets=(), client_id="c", fetch_key=fetch)) is not Verdict.GENUINE
    for each in fetched:
        asked = urlsplit(str(requests.Request("GET", _KEY_SERVER + each).prepare().url))
        assert (asked.netloc, asked.path, asked.query) == (urlsplit(_KEY_SERVER).netloc, each, "")
        assert asked.path.startswith("/prod/keys/")
        assert asked.path.count("/") == 3
    is_public_key(data.decode("utf-8", "replace"))
    return float(len(fetched) * 100 + sum(part in path for part in ("/prod", "/keys/", ".pem")))


def _texts_are_clean(data: bytes) -> float:
    """A value of any kind is a text without blanks around it, and what is made of a text is what it should be."""
    try:
        value = parse(data)
    except Rejected:
        value = data.decode("utf-8", "replace")
    text = Text().read(value)
    assert isinstance(text, str)
    assert text == text.strip()
    assert plain(text) == plain(text).strip()
    assert 0 < len(product_name(text, "7")) <= 255
    assert first_email(text) in ("", text)
    assert not set(slug(text)) & set(" /<>&?#")
    address = absolute_url(text, "https://shop.example/a/")
    assert not address or (address.isascii() and urlsplit(address).hostname and absolute_url(address) == address), address
    assert "@" not in origin(text)
    assert not path_only(text).count("?")
    assert all(campaign(text).values())
    return float(len(text) + 100 * bool(address) + 100 * bool(first_email(text)))


def _vectors() -> Iterator[dict[str, str]]:
    return (json.loads(file.read_text()) for file in sorted(_VECTORS.glob("*.json")))


_PAYLOADS = tuple(case.payload for case in CASES if len(case.payload) <= _LONGEST_SEED)
_SIGNED = tuple(f"{vector['value']}\n\n{vector['payload']}".encode() for vector in _vectors())
_ADDRESSES = (
    b'"https://shop.example/a b?utm_source=x&utm_medium=y#z"',
    b'" <b>Tea</b> &amp; caf\\u00e9 "',
    b'"ada@shop.example"',
    b"1.50",
    b"[null]",
)
_PATHS = (b"/prod/keys/pub-key-a1.pem", b"/prod/keys/../x.pem", b"@evil.example/prod/keys/a.pem", b"-----BEGIN PUBLIC KEY-----\nAA==\n")

TARGETS = {
    target.name: target
    for target in (
        Target("json", _read_as_python_does, _PAYLOADS),
        Target("signatures", _never_genuine, _SIGNED),
        Target("key paths", _stays_on_the_key_server, _PATHS),
        Target("texts", _texts_are_clean, _ADDRESSES),
    )
}
