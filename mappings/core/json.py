"""Reads payloads and writes Drip bodies as JSON, with exact numbers both ways."""

import codecs
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from mappings.core.errors import Rejected
from mappings.core.limits import DEEPEST

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
# Python refuses to read an int of more than 4300 digits.
_LONGEST_INT = 4300
# Escapes of NUL and of surrogates. A valid pair is harmless, but cheap to check.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
# An order of 5 MB has some 30,000. In memory, an empty object takes thirty times its two bytes, and much more once it is a line.
_MOST_OBJECTS = 200_000


def parse(payload: bytes, deepest: int = DEEPEST) -> Any:
    """Read a JSON payload: integers as `int`, every other number as `Decimal`.

    NUL and lone surrogates, which databases can't store, become U+FFFD. If a key occurs twice, the last one counts, as in PHP, Ruby and
    JavaScript, which write these payloads.

    Raises `Rejected` with the position at which the payload stops being JSON, or if it is nested deeper than `deepest`: what reads it calls
    itself for each level.
    """
    if (objects := payload.count(b"{")) > _MOST_OBJECTS:
        raise Rejected({"": [f"contains {objects:,} JSON objects, and no order has more than {_MOST_OBJECTS:,}"]})
    try:
        document = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError):
        document = _parse_patiently(payload, deepest)
    if objects + payload.count(b"[") > deepest and _is_deeper(document, deepest):
        raise _too_deep(deepest)
    return _storable(document) if _SUSPECT_ESCAPE.search(payload) else document


def encode(body: Any) -> bytes:
    """A Drip body as JSON bytes; `Decimal` becomes a number with all its digits."""
    return _ENCODER.encode(body)


def printed(body: Any) -> str:
    """The same for people: a line for each value."""
    return msgspec.json.format(encode(body)).decode()


def _parse_patiently(payload: bytes, deepest: int) -> Any:
    """The same by Python's own parser: it reads huge numbers and lone surrogates too, and its errors have the position."""
    if why := _what_else(payload):
        raise _not_json(why)
    mark = len(codecs.BOM_UTF8) if payload.startswith(codecs.BOM_UTF8) else 0
    try:
        text = payload[mark:].decode()
    except UnicodeDecodeError as error:
        raise _not_json(f"not UTF-8 at byte {mark + error.start}") from None
    try:
        return json.loads(text, parse_float=_decimal, parse_int=_integer, parse_constant=_constant)
    except json.JSONDecodeError as error:
        message, position = _what_and_where(error)
        at = mark + len(text[:position].encode())
        if message == "Extra data":
            raise _not_json(f"something else follows the document at byte {at}") from None
        raise _not_json(f"{message.removesuffix(' at')} at byte {at}") from None
    except RecursionError:
        raise _too_deep(deepest) from None


def _what_else(payload: bytes) -> str:
    """What these bytes are, where their start shows that somebody handed over something else than an order's JSON."""
    if not payload.strip(b" \t\r\n"):
        return "empty"
    if payload.startswith(b"\x1f\x8b"):
        return "compressed with gzip; unpack it first"
    if payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16 text; save it as UTF-8"
    return ""


def _is_deeper(document: Any, deepest: int) -> bool:
    """Whether lists and objects are nested in more levels than these."""
    level = [document]
    for _ in range(deepest + 1):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node if type(node) is list else ())
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _too_deep(deepest: int) -> Rejected:
    return Rejected({"": [f"nested in more than {deepest} levels, which MAX_NESTING allows"]})


def _what_and_where(error: json.JSONDecodeError) -> tuple[str, int]:
    """The message and the position, the same in every version of Python: since 3.13, a trailing comma has a message of its own."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error.msg, error.pos
    after = error.doc[error.pos + 1 :]
    expected = "value" if error.msg.endswith("array") else "property name enclosed in double quotes"
    return f"Expecting {expected}", error.pos + 1 + len(after) - len(after.lstrip(" \t\n\r"))


def _not_json(why: str) -> Rejected:
    return Rejected({"": [f"not JSON: {why}"]})


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST_INT else Decimal(digits)


def _decimal(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent that Decimal can't hold: the field that reads it rejects the text
        return digits


def _constant(name: str) -> Any:
    raise _not_json(f"{name} isn't a JSON number")


def _storable(document: Any) -> Any:
    """Replace what can't be stored in all strings; without recursion, because a document can be nested as deeply as the parser allows."""
    root = [document]
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key in [key for key in node if _UNSTORABLE.search(key)]:
                node[_UNSTORABLE.sub(_REPLACEMENT, key)] = node.pop(key)
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, str):
                node[key] = _UNSTORABLE.sub(_REPLACEMENT, value)
            elif isinstance(value, (dict, list)):
                waiting.append(value)
    return root[0]
