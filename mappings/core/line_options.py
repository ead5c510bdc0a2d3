"""Which options of a line are sent to Drip: what the shopper chose, and nothing that is personal or can be redeemed.

Plugins and apps keep gift-card codes, download keys, recipients' names and addresses and uploads in the same rows as sizes and colors. So
a row is sent only if its key is a variation attribute or an add-on's label, and neither the key nor the value looks like any of those. When
in doubt, a row stays out: a store's `custom_attributes` can add it by path.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from mappings.core.option_names import names_article, names_contact, names_private
from mappings.core.sensitive import is_sensitive
from mappings.core.text import plain

# Far more than a shopper chooses. To judge as many as fit into a payload would take seconds.
_MOST_OF_LINE, _MOST_OF_ORDER = 100, 10_000
_LONGEST_LABEL = 100
# With markup.
_LONGEST_KEY = 1_000
_LONGEST_REMEMBERED = 255
# A plugin's internal name, like `pw_gift_card_to`. Labels are written for people, and slugs of attributes have hyphens.
_MACHINE_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
_LETTER = re.compile(r"[^\W\d_]")


class Choice(NamedTuple):
    """An option as a store sends it: its key, the label shown to people (often the key itself), and its value."""

    key: str
    label: str
    value: str
    stored: str = ""
    """The stored value, if it differs from the one shown."""
    is_attribute: bool = False
    """The key belongs to a variation attribute, although it may look like a plugin's; the stored value is then a slug."""


def line_options(choices: Iterable[Choice], lines: int = 1) -> dict[str, str]:
    """Values by label, without markup. A label that occurs twice keeps both values, joined with a comma.

    At most 100 choices of a line are looked at, and 10,000 of an order with so many `lines`.
    """
    options: dict[str, dict[str, None]] = {}
    most = min(_MOST_OF_LINE, _MOST_OF_ORDER // max(1, lines))
    # Those with an underscore are hidden from shoppers, by every platform's convention.
    for choice in islice((each for each in choices if not each.key.startswith("_")), most):
        if shown := _remembered(choice) if _is_short(choice) else _shown(choice):
            label, value = shown
            options.setdefault(label, {})[value] = None
    return {label: ", ".join(values) for label, values in options.items()}


def _shown(choice: Choice) -> tuple[str, str] | None:
    """The label and the value to send, without markup; None for what stays out."""
    label, value = plain(choice.label), plain(choice.value)
    return (label, value) if label and value and _may_go(choice, label, value) else None


# Sizes and colors return with every order.
_remembered = lru_cache(maxsize=2048)(_shown)


def _is_short(choice: Choice) -> bool:
    return len(choice.key) + len(choice.label) + len(choice.value) + len(choice.stored) <= _LONGEST_REMEMBERED


def _may_go(choice: Choice, label: str, value: str) -> bool:
    if len(label) > _LONGEST_LABEL or len(choice.key) > _LONGEST_KEY:
        return False
    name = _judged(choice.key, label)
    if name.is_private or (name.is_machine and not choice.is_attribute):
        return False
    # In `Phone: iPhone 15`, the value is the model that a case fits.
    if name.is_contact and not _LETTER.search(value):
        return False
    # The markup counts too, because it contains the address of a link.
    texts = {value, choice.value} if choice.is_attribute else {value, choice.value, choice.stored}
    return not any(is_sensitive(text, article=name.is_article) for text in texts)


class _Name(NamedTuple):
    """What key and label reveal about the value."""

    is_private: bool
    is_machine: bool
    is_contact: bool
    is_article: bool


@lru_cache(maxsize=1024)
def _judged(key: str, label: str) -> _Name:
    names = {key, label}
    return _Name(
        is_private=any(name.startswith("_") or names_private(name) or is_sensitive(name) for name in names),
        is_machine=bool(_MACHINE_NAME.fullmatch(label)),
        is_contact=any(map(names_contact, names)),
        is_article=any(map(names_article, names)),
    )
