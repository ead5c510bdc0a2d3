"""Values that no store should send, each as JSON text, since some of them can't be written otherwise."""

import json
from typing import Any


def _texts(*texts: str) -> tuple[str, ...]:
    return tuple(json.dumps(text) for text in texts)


def _nested(opening: str, levels: int, closing: str) -> str:
    return opening * levels + "1" + closing * levels


# The first are the simplest: examples shrink towards them.
_EMPTY = ("null", '""', "[]", "{}", "[[]]", "[null]", "[{}]", '{"": ""}', '" "', "true", "false")
_NUMBERS = (
    *("0", "1", "-1", "-0", "0.1", "-0.005", "1.005", "19.989999999999998", "1E+2", "1e15", "1e16", "1e-15", "1e-400"),
    *("1e400", "-1e400", "1e999999999", "1e99999999999999999999", "9007199254740993", "9" * 40, "9" * 5_000, "0." + "1" * 5_000),
    *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "5.", "0x10"),
)
_TEXT_NUMBERS = _texts(
    *(
        "0",
        "-1",
        "-0.00",
        "1.50",
        " 2 ",
        "+3",
        "1e3",
        "1,234.56",
        "1.234,56",
        "1 234,56",
        "1'234.56",
        "1\u00a0234,56",
        "\u0661\u0662",
        "\uff11",
    ),
    *("\u221212", "1_000", "$5", "5 €", "50%", "½", "NaN", "Infinity", "-inf", "1e400", "0x10", "1-", "--1", "9" * 500, "0" * 100_000),
)
_IDS = ("7", '"7"', "7.0", "-7", '"../7"', '"7\\u0000"', '"a/b?c#d"', json.dumps("7" * 256), '"none"', '"0"', '"%2e%2e"')
_CHARACTERS = (
    *('"\\ud800"', '"\\udc00\\ud800"', '"a\\u0000b"', '"\\u001b[2J\\u001b]0;title\\u0007"', '"\\u009b31m"', '"\\u202e\\u2066drow"'),
    *_texts(
        "\ufdfa" * 99,
        "e" + "\u0301" * 3_000,
        "\u2028\u2029",
        "\U000e0041\ufeff\u200b",
        "👩‍👧",
        "a\r\nX-Header: b",
        "\uffff\ufffe",
        "\u0130\u0131\u017f\u212a",
    ),
)
_MARKUP = _texts(
    *("<b>Tea", "<a href='", "<script>alert(1)", "<!-- Tea", "<![CDATA[", "</p></p>", "a < b > c", "<a" * 3_000, "<" * 3_000 + ">"),
    *(
        "&amp;lt;b&gt;",
        "&#" + "9" * 5_000 + ";",
        "&#x110000;",
        "&#0;&#xd800;",
        "&" * 5_000,
        "{{7*7}}",
        "%s%n{0}",
        "'; DROP TABLE deliveries; --",
    ),
)
_ADDRESSES = _texts(
    *(
        "//a",
        "https://[",
        "http://[::1]:99999/",
        "javascript:alert(1)",
        "https://user:pass@shop.example/",
        "https://127.0.0.1/",
        "/relative",
    ),
    *(
        "https://shop.example/" + "a" * 5_000,
        "https://ä.example/ü?q=ß",
        "https://shop.example:x/",
        "mailto:a@b.example",
        "https:///",
        "file:///etc",
    ),
    *(
        "a@b.c",
        "ada@example.com",
        "@",
        "a@b@c.example",
        "ada@example.com, eve@example.com",
        "a" * 250 + "@example.com",
        "ada@example.com\n",
    ),
)
_TIMES = _texts(
    *("2026-13-45", "0000-00-00 00:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-29", "2026-03-01T25:00:00Z"),
    *("2026-03-01T10:00:00+99:99", "2026-03-01T10:00:00.123456789Z", "2026-W10-1", "20260301", "Sun, 01 Mar 2026 10:00:00 +0000", "now"),
    *("2026-03-01T10:00:00 Europe/Berlin", "1772359200", "2999-01-01T00:00:00Z", "1900-01-01", "2026-03-01T23:59:60Z", "-2026-03-01"),
)
_WORDS = _texts(
    *(
        "paid",
        "refunded",
        "voided",
        "pending",
        "cancelled",
        "canceled",
        "failed",
        "closed",
        "complete",
        "completed",
        "trash",
        "refund",
        "success",
    ),
    *(
        "EUR",
        "JPY",
        "BHD",
        "XXX",
        "eur",
        "configurable",
        "bundle",
        "shipping_refund",
        "__proto__",
        "constructor",
        "toString",
        "null",
        "undefined",
    ),
)
_STRUCTURES = (
    *("[1, 2, 3]", '{"0": {}, "1": {}}', '{"amount": "1", "amount": "x"}', '{"__proto__": {"id": 1}}', '{"constructor": {"prototype": 1}}'),
    *('["a", 1, null, {}, []]', '[{"id": {}}, "x", null]', '{"\\ud800": 1, "\\u0000": 2}', '"{\\"a\\": [1"', '"a:1:{s:1:\\"x\\";i:1;}"'),
    *(_nested("[", 60, "]"), _nested("[", 500, "]"), _nested('{"a":', 90, "}"), _nested('{"items":[', 120, "]}"), '"' + "[" * 300 + '"'),
    *("[" + "{}," * 6_000 + "{}]", "[" + "0," * 2_000 + "0]", "{" + ",".join(f'"k{number}": {number}' for number in range(6_000)) + "}"),
)
_LONG = _texts("a" * 100_000, "<a" * 50_000, "é " * 50_000, "1" * 100_000, "a@" * 50_000, "\x1b" * 20_000)

HOSTILE_VALUES: tuple[str, ...] = (
    *(*_EMPTY, *_NUMBERS, *_TEXT_NUMBERS, *_IDS, *_CHARACTERS, *_MARKUP),
    *(*_ADDRESSES, *_TIMES, *_WORDS, *_STRUCTURES, *_LONG),
)
"""JSON texts, of which some, such as `NaN`, are none: what contains one is no JSON either."""
HOSTILE_KEYS = ("__proto__", "constructor", "", "id", "items", "\ud800", "\x00", "a.b.c", "0", "k" * 10_000, "\u202e", "$where")


def shortened(value: Any) -> str:
    """A value as it is shown in a report."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text):,} characters)"
