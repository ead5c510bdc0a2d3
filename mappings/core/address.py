"""Postal addresses with Drip's field names; sent in the lifecycle vocabulary only."""

from collections.abc import Mapping, Sequence
from typing import Any

from mappings.core.fields import Text
from mappings.core.reading import Context
from mappings.core.text import plain

_text = Text().read
# Drip's name -> the platforms' names.
_NAMES: Mapping[str, Sequence[str]] = {
    "first_name": ("first_name", "firstname"),
    "last_name": ("last_name", "lastname"),
    "company": ("company",),
    "address_1": ("address1", "address_1", "street_1"),
    "address_2": ("address2", "address_2", "street_2"),
    "city": ("city",),
    "state": ("province", "state", "region"),
    "postal_code": ("zip", "postcode"),
    "country": ("country_code", "country_iso2", "country_id", "country"),
    "phone": ("phone", "telephone"),
}


def addresses(context: Context, **raw: Any) -> dict[str, Any]:
    """The addresses that the store's vocabulary has, by the names of `Order`; the contract's vocabulary has none.

    If a payload can have an address in several places, they come as a list, and the first that isn't empty counts.
    """
    if context.options.vocabulary != "lifecycle":
        return {}
    return {name: next((found for place in _places(value) if (found := drip_address(place))), {}) for name, value in raw.items()}


def _places(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def drip_address(raw: Any) -> dict[str, str]:
    """A store's address with Drip's names; anything missing or not a text is left out."""
    if not isinstance(raw, Mapping):
        return {}
    first, rest = _street(raw.get("street"))
    found = {"address_1": first, "address_2": rest}
    for name, theirs in _NAMES.items():
        found[name] = found.get(name) or next((text for key in theirs if (text := plain(_text(raw.get(key))))), "")
    return {name: text for name, text in found.items() if text}


def _street(street: Any) -> tuple[str, str]:
    """Magento sends the lines of a street as a list, or as one text with line breaks."""
    lines = street.splitlines() if isinstance(street, str) else street if isinstance(street, list) else ()
    texts = [text for line in lines if (text := plain(_text(line)))]
    return (texts[0], ", ".join(texts[1:])) if texts else ("", "")
