"""Recognizes values that must not be sent by accident: email addresses, phone numbers, web addresses, and redeemable codes.

These are judgements about shape, and a value in doubt counts as sensitive: what is held back can be added by path in a store's settings,
but what was sent can't be taken back.
"""

import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

_LONGEST = 255
# A longer text isn't examined for an email address, but counts as containing one.
_LONGEST_EXAMINED = 4_000
_DASHES = re.compile(r"[\u2010-\u2015\u2212\u00b7\u2022]")
_EMAIL = re.compile(r"\S\s?@\s?(?:[^\s@]+\.[^\W\d_]{2}|\[\d)")
_ENDINGS = "com|net|org|info|biz|io|co|me|ly|app|dev|shop|store|eu|us|uk|de|at|ch|fr|it|es|pt|nl|be|dk|se|no|fi|pl|cz|ie|ca|au|nz|jp|in|br"
# One label and its dot: where there are several, the last one is enough.
_HOST = r"(?<![\w-])[^\W_][\w-]*\."
_URL = re.compile(
    rf"[a-z0-9+.-]://|\bwww\.|\b(?:mailto|tel|sms|data|javascript):\S|{_HOST}[^\W\d_]{{2,}}(?:/|:\d)|{_HOST}(?:{_ENDINGS})(?![\w.-])"
)
_FILE = re.compile(
    r"\w\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic|svg|pdf|docx?|xlsx?|ai|eps|psd|zip|rar|mp[34]|mov|wav|txt|csv|json|xml)(?!\w)"
)
# PHP's serialized values, and JSON.
_SERIALIZED = re.compile(r"\s*(?:[aos]:\d+:|[\[{])")

# Seven digits or more, with the separators that people use, are a phone number. Dates, times and measured ranges are not.
_SHORTEST_PHONE = 7
_BETWEEN = r"[\s./()-]{0,3}"
_INTERNATIONAL = re.compile(rf"\+\s?\(?\d(?:{_BETWEEN}\d){{{_SHORTEST_PHONE - 1}}}")
_PHONE = re.compile(rf"\d(?:{_BETWEEN}\d){{{_SHORTEST_PHONE - 1}}}")
_BEFORE, _AFTER = r"(?<![\d+])(?<!\d[\s./()-])", r"(?![\s./()-]?\d)"
_TIME = re.compile(r"(?<!\d)\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?!\d)")
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_ONE_DATE = rf"(?:{_YEAR}[./-]{_MONTH}[./-]{_DAY}|{_DAY}[./-]{_DAY}[./-](?:{_YEAR}|\d\d)|{_MONTH}[./-]{_YEAR}|{_YEAR})"
_DATE = re.compile(rf"{_BEFORE}{_ONE_DATE}(?:\s?[/-]\s?{_ONE_DATE})?{_AFTER}")
_UNIT = r"(?:[mcdk]?m|ft|inch(?:es)?|[mk]?g|lbs?|oz|[mc]?l|k?w|v|mah|k|[kmg]?hz|px|dpi|[kmgt]b|rpm|lm|psi|bar|%|\u00b0c?|[\u20ac$\u00a3])"
_RANGE = re.compile(rf"{_BEFORE}\d{{1,5}}(?:[.,]\d+)?\s?-\s?\d{{1,5}}(?:[.,]\d+)?\s?{_UNIT}(?!\w)")
# Article numbers that are labeled as such, and ISBNs.
_ARTICLE = re.compile(
    r"\b(?:sku|ean|gtin|isbn|upc|mpn|art(?:icle|ikel)?[\s.-]*(?:nr|no|number|nummer))[\s.:#-]*[\d-]{7,17}(?![\d-])|(?<!\d)97[89](?:-?\d){10}(?!\d)"
)
_ARTICLE_ONLY = re.compile(r"\s*[\w#-]+\s*")
_LETTER = re.compile(r"[^\W\d_]")

_GROUPS = re.compile(r"(?<![\w-])[^\W_]{2,}(?:-[^\W_]{2,}){2,}(?![\w-])|(?<!\w)[A-Z0-9]{4,6}(?: [A-Z0-9]{4,6}){2,}(?!\w)")
_TOKEN = re.compile(r"(?<!\w)[^\W_]{12,}(?!\w)")
_SEPARATOR = re.compile(r"[ -]")
_CHANGE = re.compile(r"(?<=\d)[^\W\d_]|(?<=[^\W\d_])\d")
_SHORTEST_CODE = 12
_SHORTEST_GROUP = 4
_MOST_CHANGES = 2


# Sizes, colors and labels return with every order.
@lru_cache(maxsize=2048)
def is_sensitive(text: str, *, article: bool = False) -> bool:
    """Whether a value may contain an email address, a phone number, a web address, a file name or a code.

    With `article`, its label stands for an article number: a single word of digits and letters is then that, not a phone number.
    """
    if len(text) > _LONGEST:
        return True
    shown = _readable(text)
    lower = shown.lower()
    if _has_email(lower) or _has_url(lower) or _SERIALIZED.match(lower) or _FILE.search(lower):
        return True
    if article and _ARTICLE_ONLY.fullmatch(lower) and (lower.isdigit() or _LETTER.search(lower)):
        return _has_code_in_groups(shown)
    return _has_phone(lower) or _has_code_in_groups(shown) or _has_code_in_one_piece(shown)


def has_email(text: str) -> bool:
    """Whether a text contains an email address, or is too long to be examined."""
    return bool(text) and (len(text) > _LONGEST_EXAMINED or _has_email(_readable(text).lower()))


def _has_email(text: str) -> bool:
    return "@" in text and bool(_EMAIL.search(text))


def _has_url(text: str) -> bool:
    return ("." in text or ":" in text) and bool(_URL.search(text))


def _readable(text: str) -> str:
    """A text as a person reads it: entities and percent signs decoded, look-alikes replaced, invisible characters removed."""
    if text.isascii() and "&" not in text and "%" not in text:
        return text
    for _ in range(3):
        decoded = unquote(html.unescape(text))
        if decoded == text:
            break
        text = decoded
    text = unicodedata.normalize("NFKC", text)
    if not text.isascii():
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return _DASHES.sub("-", text)


def _has_phone(text: str) -> bool:
    if sum(map(str.isdigit, text)) < _SHORTEST_PHONE:
        return False
    if _INTERNATIONAL.search(text):
        return True
    rest = _ARTICLE.sub("|", text)
    for harmless in (_TIME, _DATE, _RANGE):
        rest = harmless.sub("|", rest)
    return bool(_PHONE.search(rest))


def _has_code_in_groups(text: str) -> bool:
    """Whether a text contains a code as shops issue them: `8F3K-29QX-77AB`."""
    return any(_is_code(_SEPARATOR.split(match[0])) for match in _GROUPS.finditer(text))


def _has_code_in_one_piece(text: str) -> bool:
    """Whether a text contains a long word in which letters and digits alternate."""
    return any(len(_CHANGE.findall(match[0])) > _MOST_CHANGES for match in _TOKEN.finditer(text))


def _is_code(groups: list[str]) -> bool:
    mixed = sum(len(group) >= _SHORTEST_GROUP and bool(_CHANGE.search(group)) for group in groups)
    with_digits = sum(any(character.isdigit() for character in group) for group in groups)
    alike = len({len(group) for group in groups}) == 1 and len(groups[0]) >= _SHORTEST_GROUP
    long = sum(map(len, groups)) >= _SHORTEST_CODE
    return mixed > 1 or (long and (with_digits > 1 or (alike and (with_digits > 0 or all(group.isupper() for group in groups)))))
