"""Strings as stores send them: markup, email addresses, URLs, and values found by path."""

import html
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from mappings.core.sensitive import has_email

_TAG = re.compile(r"<[/!?a-zA-Z][^>]*>")
# `html.unescape` can't read a number of more digits than `int` takes; eight are enough to be no character.
_DECIMAL_REFERENCE = re.compile(r"&#(?=[0-9])0*+([0-9]*)")
# An object or a list as JSON, or as PHP serializes it.
_STRUCTURE = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]]|[aOs]:\d+:)")
# Only the general form: the rest is for Drip to judge.
_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;.]+")
_NO_WORD = re.compile(r"[^\w]+")
_NAME_LENGTH = 255
# Longer texts are cut, and longer addresses are none: nothing a store shows to people is as long, and work on texts has to end.
LONGEST_TEXT = 4_000
_LONGEST_URL = 4_000
_LONGEST_EMAIL = 254  # RFC 5321, section 4.5.3.1.3
_LARGEST_EXPONENT = 15
# No ID has more digits.
_LARGEST_INT = 10**40
_NUMBERS = (int, Decimal)
_URL_SAFE = "/%:=&?~#+!$,;'@()*[]"
# The name in an entry of a list of named values: Shopify, WooCommerce, Magento.
_ROW_NAMES = ("name", "key", "attribute_code", "code")
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")


def plain(text: str) -> str:
    """Text without markup: tags are removed first, then entities are decoded once, so that an escaped `<` survives.

    Text beyond 4,000 characters is cut off.
    """
    text = text[:LONGEST_TEXT]
    if "<" in text:
        # Each search for a tag's end succeeds up to the last one, so the time grows with the length only.
        markup, end, rest = text.rpartition(">")
        text = _TAG.sub("", markup + end) + rest
    if "&" in text:
        text = unescaped(text)
    return " ".join(text.split())


def unescaped(text: str) -> str:
    """Text with its HTML entities decoded once."""
    return html.unescape(_DECIMAL_REFERENCE.sub(lambda found: f"&#{found[1][:8] or 0}", text))


def product_name(text: str, reference: str) -> str:
    """A line's name in Drip's length; without one, its SKU or ID."""
    return (plain(text) or f"[product {reference}]")[:_NAME_LENGTH]


def first_email(*candidates: str) -> str:
    """The first candidate that looks like an email address, trimmed; "" if none does."""
    for candidate in candidates:
        if candidate and len(trimmed := candidate.strip()) <= _LONGEST_EMAIL and _is_email(trimmed):
            return trimmed
    return ""


# An order's address is looked at when it is read, mapped and checked.
@lru_cache(maxsize=256)
def _is_email(text: str) -> bool:
    return bool(_EMAIL.fullmatch(text))


def slug(text: str) -> str:
    """Lower-case words joined by hyphens."""
    return _NO_WORD.sub("-", plain(text).lower()).strip("-_")


def absolute_url(url: str, base: str = "") -> str:
    """An absolute http(s) address, percent-encoded; a relative one is joined to `base`; "" for anything else or longer than 4,000."""
    address = _absolute_url(url, base) if url and len(url) <= _LONGEST_URL else ""
    return address if len(address) <= _LONGEST_URL else ""


# The same address is read, rendered and checked, and items share theirs.
@lru_cache(maxsize=1024)
def _absolute_url(url: str, base: str) -> str:
    # Encoded first: `urlsplit` normalizes a host that isn't ASCII, in a time that grows with the square of its length.
    encoded = quote(url.strip(), safe=_URL_SAFE)
    if not encoded:
        return ""
    try:
        joined = urljoin(base, encoded) if base else encoded
        if joined.startswith("//"):
            joined = f"https:{joined}"
        parts = urlsplit(joined)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return ""
    except ValueError:  # brackets that aren't an IPv6 address
        return ""
    return quote(joined, safe=_URL_SAFE)


def origin(url: str) -> str:
    """The scheme and host of an absolute address; "" if it isn't one."""
    if not (address := absolute_url(url)):
        return ""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def path_only(url: str) -> str:
    """The path of an address, without the query, which can contain tokens; "" for one with an email address."""
    if not url:
        return ""
    try:
        path = urlsplit(url[:LONGEST_TEXT]).path
    except ValueError:
        return ""
    return "" if has_email(path) else path


def campaign(url: str) -> dict[str, str]:
    """The `utm_*` values in an address's query."""
    if not url:
        return {}
    try:
        query = dict(parse_qsl(urlsplit(url[:LONGEST_TEXT]).query))
    except ValueError:
        return {}
    return {name: query[name] for name in _UTM if query.get(name) and not has_email(query[name])}


def without_blanks(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without the empty ones; `false` and 0 are values."""
    return {name: value for name, value in attributes.items() if value or isinstance(value, _NUMBERS)}


def is_blank(value: Any) -> bool:
    """Whether a value is none, or empty; `false` and 0 are values."""
    return not value and not isinstance(value, _NUMBERS)


def lookup(document: Any, path: str) -> Any:
    """The scalar, or list of scalars, at a dotted path; None if there is none, or an object or a list of objects, also one printed as text.

    Texts beyond 4,000 characters are cut off.

    A step is a key, an index, or the name of an entry in a list of named values: `note_attributes.gift_message`.
    """
    node = document
    for step in path.split("."):
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list):
            node = _entry(node, step)
        else:
            return None
    if isinstance(node, list) and all(_is_scalar(entry) for entry in node):
        return [_cut(entry) for entry in node]
    return _cut(node) if _is_scalar(node) else None


def _entry(rows: list[Any], step: str) -> Any:
    for row in rows:
        if isinstance(row, dict) and step in (row.get(name) for name in _ROW_NAMES):
            return row.get("value")
    return rows[int(step)] if step.isdecimal() and int(step) < len(rows) else None


def _cut(value: Any) -> Any:
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _is_scalar(value: Any) -> bool:
    # A number too large for arithmetic is of no use to Drip either.
    if isinstance(value, str):
        return not _STRUCTURE.match(value)
    if isinstance(value, int):
        return abs(value) < _LARGEST_INT
    return isinstance(value, Decimal) and abs(value.adjusted()) <= _LARGEST_EXPONENT
