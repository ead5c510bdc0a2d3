"""E-mail addresses in a text or document, wherever they stand."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, get_args
from unicodedata import normalize
from urllib.parse import unquote

# What may stand before the @ (RFC 5322, atext), letters of every script included, read backwards; and what may follow it,
# with accents that are characters of their own.
_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"\\]+")
_DOMAIN = re.compile(r"[\w.\-\u0300-\u036f]+")
# Where an address may begin within such a run, as in `email=ada@shop.example`.
_BOUNDARY = re.compile(r"[^\w.+-]")
_LONGEST_LOCAL, _LONGEST_DOMAIN = 64, 253
_MOST = 10_000
_NormalForm = Literal["NFKC", "NFC", "NFD", "NFKD"]


def one_form(address: str) -> str:
    """The form in which addresses are compared: trimmed, in lower case, one encoding for the same letters (é is one character or two)."""
    return _normalized("NFKC", address.strip()).lower()


def written_forms(address: str) -> set[str]:
    """An address in lower case, in each form in which the same letters can be encoded, the one for comparisons included."""
    lower = address.strip().lower()
    return {lower} if lower.isascii() else {lower, one_form(address), *(_normalized(form, lower) for form in get_args(_NormalForm))}


def _normalized(form: _NormalForm, address: str) -> str:
    # Longer texts are no addresses. The time grows with the square of a run of accents.
    return normalize(form, address) if len(address) <= _LONGEST_LOCAL + 1 + _LONGEST_DOMAIN else address


def texts_in(document: Any) -> Iterator[str]:
    """Every string in a document, including keys; iterative, because it may be nested as deeply as the parser allows."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def addresses_in(document: Any) -> set[str]:
    """Every address in a document, in lower case: the first 10,000. A run of characters that begins in several ways gives several."""
    found: set[str] = set()
    for text in texts_in(document):
        if "@" in text or "%40" in text:
            for read in {text, unquote(text)}:
                found.update(_in_text(read))
        if len(found) > _MOST:
            break
    return found


def _in_text(text: str) -> Iterator[str]:
    for before, after in pairwise(text.split("@")):
        local = _LOCAL.match(before[-_LONGEST_LOCAL:][::-1])
        domain = _DOMAIN.match(after[: _LONGEST_DOMAIN + 1])
        if local and domain:
            run, host = local[0][::-1].lower(), domain[0].strip(".").lower()
            yield f"{run}@{host}"
            yield from (f"{rest}@{host}" for boundary in _BOUNDARY.finditer(run) if (rest := run[boundary.end() :]))
