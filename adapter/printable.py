"""Text that is safe to show in a terminal, a log or a page: characters that are obeyed, or that change how others look, become escapes.

Ids, names and answers come from shoppers, stores and whoever answers in Drip's place. An escape sequence among them could clear the screen
or forge lines, and a bidirectional control could make one order look like another.
"""

import re
from typing import Any

# C0 but for the line break, DEL, C1; soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width space; marks and controls of
# direction, line and paragraph separator; word joiner and other invisible ones; byte order mark, annotations, surrogates, tags. The
# zero-width joiner and non-joiner stay: names and emoji need them.
_UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Text with such characters as JSON escapes, but for line breaks. JSON stays the same JSON."""
    return _UNPRINTABLE.sub(lambda found: escaped(found[0]), text)


def one_line(text: str) -> str:
    """The same with line breaks as escapes too."""
    return printable(text).replace("\n", "\\n")


def in_page(value: Any) -> Any:
    """What a template shows, with such characters as escapes; HTML that a macro or filter made stays as it is."""
    return value if hasattr(value, "__html__") else printable(str(value))


def escaped(text: str) -> str:
    """Each character as a JSON escape."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
