"""The head of a request: read in linear time, and as Waitress reads it."""

import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.utilities import BadRequest

from adapter.process.http_connections import _HOST, Channel

SETTINGS = Adjustments(max_request_header_size=65_536, max_request_body_size=1_000_000)
NAMES = st.sampled_from(
    [
        "Host",
        "X-Shopify-Topic",
        "x-a",
        "X_A",
        "Content_Length",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Expect",
        "",
        "X A",
        "é",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        ["", "4", "chunked", "gzip, chunked", "close", "Keep-Alive", "100-continue", " \t x \t y ", "\x85x\x85", "a:b", '"a, b"']
    ),
    st.text(st.characters(max_codepoint=255), max_size=12),
)
LINES = st.builds("".join, st.tuples(NAMES, st.sampled_from([":", ": ", ":\t ", " :", ""]), VALUES))
ENDS = st.sampled_from(["\r\n"] * 12 + ["\r\n ", "\r\n\t", "\n", "\r", "\r\n\r"])
LENGTHS = re.compile(rb"\r\n(?:content-length|transfer-encoding):", re.IGNORECASE)
CODINGS = re.compile(rb"\r\ntransfer-encoding:[ \t]*(.*?)[ \t]*\r\n", re.IGNORECASE)
FOLDED = re.compile(rb"\r\n[ \t]")
HOSTS = re.compile(rb"\r\nhost:", re.IGNORECASE)
STARTS = st.sampled_from(
    [
        *["POST /webhooks/shopify HTTP/1.1\r\nHost: a.example"] * 2,
        "POST /webhooks/shopify HTTP/1.1",
        "GET /a%20b?c=d#e HTTP/1.0",
        "GET //x",
        "GET",
        "POST  / HTTP/1.1",
        "GET http://[/ HTTP/1.1",
        "\x00",
    ]
)


def read(parser: Any, head: bytes) -> dict[str, Any]:
    """What a parser makes of a head: the refusal, or all that it found."""
    try:
        parser.received(head)
    except ValueError:  # by Waitress alone, of an address with half an IPv6 host
        return {"refused": BadRequest}
    if parser.error:
        return {"refused": type(parser.error)}
    found = (
        "command",
        "version",
        "path",
        "query",
        "headers",
        "content_length",
        "chunked",
        "expect_continue",
        "connection_close",
        "completed",
    )
    return {name: getattr(parser, name, None) for name in found}


@given(STARTS, st.lists(st.tuples(ENDS, LINES), max_size=6))
@example("POST / HTTP/1.1\r\nHost: a", [("\r\n", "X-A: a"), ("\r\n", "x-a:  b "), ("\r\n\t", "c"), ("\r\n", "X_A: d")])
@example("POST / HTTP/1.1\r\nHost: a", [("\r\n ", "X-A: a")])
@example("POST / HTTP/1.1\r\nHost: a", [("\r\n", "Content-Length: 4"), ("\r\n", "Content_Length: 5")])
@example("POST / HTTP/1.1\r\nHost: a", [("\r\n", "Content-Length: 4"), ("\r\n", "Transfer-Encoding: chunked")])
@example("POST / HTTP/1.1", [("\r\n", "Host: a"), ("\r\n", "host: b")])
@example("POST / HTTP/1.1", [])
@example("POST / HTTP/1.1\r\nHost: a", [("\r\n", "Transfer-Encoding: ")])
@example("POST / HTTP/1.0", [("\r\n", "Transfer-Encoding: chunked")])
@settings(max_examples=400, deadline=None)
def test_a_head_is_read_as_waitress_reads_it(start: str, lines: list[tuple[str, str]]) -> None:
    head = (start + "".join(end + line for end, line in lines)).encode("latin-1") + b"\r\n\r\n"
    expected = read(HTTPRequestParser(SETTINGS), head)
    guessed = len(LENGTHS.findall(head)) > 1 or len(HOSTS.findall(head)) > 1 or FOLDED.search(head)
    if any(coding.lower() not in (b"chunked", b"gzip, chunked") for coding in CODINGS.findall(head)):
        expected = {"refused": BadRequest}  # where Waitress takes nothing for a coding, or refuses in another way
    if "refused" not in expected and (guessed or "TRANSFER_ENCODING" in expected["headers"]):
        expected = {"refused": BadRequest}  # where Waitress guesses
    if "refused" not in expected and not _HOST.fullmatch(expected["headers"].get("HOST", "" if expected["version"] != "1.1" else " ")):
        expected = {"refused": BadRequest}  # where Waitress takes any host, or none
    assert read(Channel.parser_class(SETTINGS), head) == expected


@pytest.mark.parametrize(
    "field", [b"X:" + b" " * 60_000 + b"\x01", b"X: " + b"a " * 30_000 + b"\x01", b"X" * 60_000, b"X: a" + b"\r\n b" * 15_000], ids=len
)
def test_a_long_field_takes_no_longer_than_others(field: bytes) -> None:
    begun = time.process_time()
    read(Channel.parser_class(SETTINGS), b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n")
    assert time.process_time() - begun < 0.5
