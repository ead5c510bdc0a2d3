"""No text can take time that grows with the square of its length: every pattern, and every function of a text, on texts made for that."""

import inspect
import pkgutil
import re
from ast import Attribute, Call, Name, parse, walk
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from time import thread_time
from types import FunctionType, ModuleType
from typing import Any

import pytest

import adapter
import mappings
from mappings import PROVIDERS, Context, Options, encode, outcomes
from mappings import parse as parse_json
from mappings.core.fields import _Field
from tests.support.fixture_cases import FIXTURES, RECEIVED_AT

SHORT, LONG = 10_000, 100_000
MOST_TIMES_LONGER = 15
# Less can't be measured, and is no danger.
NOTICEABLE_S = 0.004
UNITS = (
    *(
        "<a",
        "<",
        "<script ",
        "</script",
        "<!--",
        ">",
        "<a\n",
        "&#9",
        "&#0",
        "&amp",
        "&",
        "order-pay/1/",
        "?key=",
        "&key",
        "../",
        "/wp-json",
        "//",
    ),
    *(
        "a@",
        "@a.",
        "a.",
        "a@b.",
        ".",
        "-",
        "a-",
        "a_",
        "aA",
        "\u00e9",
        "\u00df",
        "\u200d",
        "\u2022",
        "\ufdfa",
        " ",
        " \n",
        "x\r",
        "\\",
        "=",
        ":",
    ),
    *(
        "1",
        "1.",
        "1 ",
        "+1 ",
        "(1",
        "1/",
        "12-",
        "AB12 ",
        "AB12-",
        "a1",
        "97",
        "sku ",
        "art. ",
        "[",
        '{"',
        '"',
        "a:1:",
        "%",
        "%4",
        "%40",
        "?",
        "/",
    ),
)


def texts(length: int) -> Iterator[str]:
    for unit in UNITS:
        yield (unit * (length // len(unit) + 1))[:length]
    # Combining characters are sorted when a text is normalized.
    yield "a" + "\u0301" * (length // 2) + "\u0316" * (length // 2)
    for start in ("&#", "<a ", "https://", "https://a.example/", "a@", "mailto:", "1", "order-pay=1"):
        yield start + "9" * length
        yield start + "a." * (length // 2)


HOSTILE = list(zip(texts(SHORT), texts(LONG), strict=True))
HOSTILE_TO_PATTERNS = list(zip(texts(SHORT // 10), texts(LONG // 10), strict=True))
# Its only user, `plain`, lets it see no text after the last ">", where alone it would be slow.
GUARDED = ("mappings.core.text._TAG",)
# These print their text, or take its characters apart.
NO_WORK_ON_TEXTS = ("adapter.cli.text.say", "mappings.core.errors.dotted")


def modules(package: ModuleType) -> list[ModuleType]:
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [import_module(name) for name in names if not name.endswith(".__main__") and ".migrations" not in name]


def slow_on(work: Callable[[str], object], hostile: list[tuple[str, str]] = HOSTILE) -> list[str]:
    """The texts whose tenfold length takes much more than ten times as long, measured again if it looks so: the machine may be busy."""
    return [repr(short[:30]) for short, long in hostile if all(_is_slow(work, short, long) for _ in range(4))]


def _is_slow(work: Callable[[str], object], short: str, long: str) -> bool:
    before = _seconds(work, short)
    if before * MOST_TIMES_LONGER**2 < NOTICEABLE_S:  # even if it were quadratic
        return False
    if before > 1.0:  # more than 100 microseconds for a character
        return True
    after = _seconds(work, long)
    return after > NOTICEABLE_S and after > MOST_TIMES_LONGER * before


def _seconds(work: Callable[[str], object], text: str) -> float:
    began = thread_time()
    with suppress(Exception):  # what it makes of nonsense is up to other tests
        work(text)
    return thread_time() - began


METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")


def uses_of_patterns() -> list[tuple[str, re.Pattern[Any], str]]:
    """Every pattern of the project and each way in which it is used: module and name, pattern, method."""
    found, used = [], set()
    for module in [*modules(mappings), *modules(adapter)]:
        source = inspect.getsource(module)
        for node in walk(parse(source)):
            if (
                isinstance(node, Call)
                and isinstance(node.func, Attribute)
                and node.func.attr in METHODS
                and isinstance(node.func.value, Name)
            ):
                pattern = getattr(module, node.func.value.id, None)
                if isinstance(pattern, re.Pattern):
                    found.append((f"{module.__name__}.{node.func.value.id}", pattern, node.func.attr))
                    used.add(pattern)
        found += [
            (f"{module.__name__}.{name}", value, "search")
            for name, value in vars(module).items()
            if isinstance(value, re.Pattern) and value not in used
        ]
    return sorted(
        {(pattern, method): (name, pattern, method) for name, pattern, method in found}.values(), key=lambda use: (use[0], use[2])
    )


def _apply(pattern: re.Pattern[Any], method: str, text: str) -> object:
    subject = text if isinstance(pattern.pattern, str) else text.encode()
    if method in ("sub", "subn"):
        return getattr(pattern, method)("" if isinstance(subject, str) else b"", subject)
    result = getattr(pattern, method)(subject)
    return list(result) if method == "finditer" else result


def functions_of_texts() -> dict[str, Callable[[str], object]]:
    """Every public function of `mappings/`, and of the modules that look at payloads or answers, that can be called with nothing but texts.

    The private ones are called by these, or by the mapping of a whole order.
    """
    packages = [*modules(mappings), *(module for module in modules(adapter) if module.__name__.startswith(LOOK_AT_CONTENT))]
    found: dict[str, Callable[[str], object]] = {}
    for module in packages:
        for name, function in vars(module).items():
            is_own = isinstance(function, FunctionType) and function.__module__ == module.__name__ and not name.startswith("_")
            if is_own and _takes_texts(function):
                found[f"{module.__name__}.{name}"] = _caller(function)
    for field in _fields(_Field):
        found[f"mappings.core.fields.{field.__name__}"] = field().deserialize
    return {name: work for name, work in found.items() if name not in NO_WORK_ON_TEXTS}


LOOK_AT_CONTENT = (
    *(
        "adapter.operations.masking",
        "adapter.operations.tracing",
        "adapter.delivery.answers",
        "adapter.sandbox.answers",
        "adapter.cli.output",
    ),
    *("adapter.cli.text", "adapter.inbox.search", "adapter.inbox.erasure", "adapter.web.request_ids", "adapter.web.dashboard.filters"),
    *(
        "adapter.stores.magento.terms",
        "adapter.stores.magento.pages",
        "adapter.stores.magento.adobe_keys",
        "adapter.stores.woocommerce.client",
    ),
)
_TEXT_KINDS: dict[Any, Callable[[str], object]] = {str: str, bytes: str.encode, Any: str}


def _takes_texts(function: FunctionType) -> bool:
    required = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    return bool(required) and all(each.annotation in _TEXT_KINDS and each.kind is not each.VAR_KEYWORD for each in required)


def _caller(function: FunctionType) -> Callable[[str], object]:
    required = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    named = {each.name for each in required if each.kind is each.KEYWORD_ONLY}

    def call(text: str) -> object:
        given = {each.name: _TEXT_KINDS[each.annotation](text) for each in required}
        return function(*(value for name, value in given.items() if name not in named), **{name: given[name] for name in named})

    return call


def _fields(base: type[Any]) -> list[type[Any]]:
    inner = [deeper for field in base.__subclasses__() for deeper in _fields(field)]
    return [
        field
        for field in (*base.__subclasses__(), *inner)
        if "read" in vars(field) and not inspect.signature(field).parameters.get("schema")
    ]


@pytest.mark.slow
class TestTime:
    def test_a_pattern_takes_ten_times_as_long_for_a_text_ten_times_as_long(self) -> None:
        uses = [use for use in uses_of_patterns() if use[0] not in GUARDED]
        slow = {name: on for name, pattern, method in uses if (on := slow_on(partial(_apply, pattern, method), HOSTILE_TO_PATTERNS))}
        assert slow == {}
        assert len(uses) > 50

    def test_and_so_does_every_function_of_a_text(self) -> None:
        works = functions_of_texts()
        slow = {name: on for name, work in works.items() if (on := slow_on(work))}
        assert slow == {}
        assert {"mappings.core.text.plain", "mappings.core.text.slug", "mappings.core.fields.Number"} <= set(works)

    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_and_so_does_an_order_with_such_a_text_in_every_field(self, provider: str) -> None:
        document = parse_json((FIXTURES / provider / RICH[provider] / "payload.json").read_bytes())
        options = Options(
            store_url="https://shop.example", public_url="https://adapter.example", vocabulary="lifecycle", custom_attributes=dict(ADDED)
        )
        context = Context(received_at=RECEIVED_AT, options=options)
        taken: list[dict[str, Any]] = []

        def map_with(text: str) -> None:
            [outcome] = outcomes(PROVIDERS[provider], encode(_filled(document, text)), context)
            taken.append(outcome)

        assert slow_on(map_with, HOSTILE_TO_ORDERS) == []
        assert all("order_id" in outcome for outcome in taken), [outcome for outcome in taken if "order_id" not in outcome][:1]


HOSTILE_TO_ORDERS = [pair for pair in HOSTILE if pair[0].startswith(("<a", "&#9", "order-pay", "a@", "a.", "a\u0301", "AB12 ", "1 "))]
RICH = {
    "shopify": "lifecycle-placed-with-addresses", "woocommerce": "line-meta-private", "magento": "options-private",
    "bigcommerce": "bundle-and-custom-line",
}  # fmt: skip
ADDED = {"note_text": "note", "comment": "customer_note"}
# Texts that decide whether and as what an order is taken, and values that are checked.
KEPT_KEYS = (
    "id",
    "sku",
    "status",
    "state",
    "email",
    "created",
    "date",
    "updated",
    "processed",
    "kind",
    "type",
    "currency",
    "time",
    "token",
)


def _filled(node: Any, text: str, key: str = "") -> Any:
    """A document with the text in place of all that is merely shown."""
    if isinstance(node, dict):
        return {name: _filled(value, text, name) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, text, key) for value in node]
    is_shown = isinstance(node, str) and re.search(r"[^\W\d]", node) and not any(part in key for part in KEPT_KEYS)
    return text if is_shown else node
