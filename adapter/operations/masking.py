"""Which values of a payload or body are personal data; the pages hide them until someone asks to see them."""

import re
from collections.abc import Iterator
from typing import Any

HIDDEN = "•••••"
_SHORTEST_REPEATED = 4
_LONGEST = 2000
# Keys of personal data anywhere in a document, in each platform's spelling.
_PERSONAL = re.compile(
    r"e?mail|phone|(^|_)fax|(^|_)(first|last|middle|full|given|family|nick|user|sur)_?name|^firstname|^lastname|^middlename"
    r"|customer_(first|middle|last)?name"
    r"|customer_(prefix|suffix|dob|gender|taxvat|note)|(^|_)(note|notes|comment|message|dob|birth|taxvat|vat_id|tax_id|company|street|city|zip"
    r"|postcode|postal_code|address_?[12]|latitude|longitude|browser_ip|remote_ip|ip_address|user_agent|token|order_key)(_|$)|forwarded_for|^ip$",
    re.IGNORECASE,
)
# Keys of objects that describe a person, or that shoppers and extensions can write anything into.
_CONTAINERS = re.compile(
    r"^(customer|billing|shipping|billing_address|shipping_address|default_address|address|addresses|customer_address|client_details"
    r"|note_attributes|properties|product_options|destination|origin_location|receipt|payment_details|payment|payment_additional_info)$",
    re.IGNORECASE,
)
_FREE_VALUES = re.compile(r"^(meta_data|custom_attributes|extension_attributes)$", re.IGNORECASE)
# Keys within such objects that are not personal.
_HARMLESS = re.compile(
    r"(^|_)(id|ids|key|code|currency|method|type|created_at|updated_at|status|display_key)$"
    r"|^(country|country_code|province_code|state|tags|total|title|name|key)$",
    re.IGNORECASE,
)
_NAMED_HARMLESS = re.compile(r"^(name|title|key|display_key)$", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s\"'<>,;:=&?/@]{1,64}(?:@|%40)[\w-]{1,63}\.[\w.-]{1,190}")
_SECRET_QUERY = re.compile(r"([?&][\w-]{0,40}(?:key|token|secret)[\w-]{0,40}=)[^&#\s]+", re.IGNORECASE)
Path = tuple[str | int, ...]


def personal(document: Any) -> dict[Path, str]:
    """The paths of a document's personal values, and what is shown in place of each."""
    found = {path: HIDDEN for path, value in leaves(document) if value not in (None, "", True, False) and _is_personal(path)}
    repeated = {str(value).casefold() for path, value in leaves(document) if path in found and isinstance(value, str)}
    repeated = {value for value in repeated if len(value) >= _SHORTEST_REPEATED}
    for path, value in leaves(document):
        if path not in found and isinstance(value, str):
            shown = HIDDEN if value.casefold() in repeated else without_addresses(value)
            if shown != value:
                found[path] = shown
    return found


def without_addresses(text: str) -> str:
    """A text with email addresses and secret URL parameters hidden, cut off if long."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return _SECRET_QUERY.sub(rf"\g<1>{HIDDEN}", _EMAIL.sub(HIDDEN, text))


def masked_email(address: str) -> str:
    """An address as lists show it, enough to recognize a shopper by: `a•••@e•••.com`; blank for a blank one."""
    name, at, domain = address.partition("@")
    return f"{name[:1]}•••@{domain[:1]}•••.{domain.rpartition('.')[2]}" if at else ""


def masked(document: Any) -> Any:
    """A copy of a document with its personal values hidden."""
    return _replaced(document, personal(document), ())


def leaves(document: Any) -> Iterator[tuple[Path, Any]]:
    """Every scalar value with its path; iterative, because a payload may be nested as deeply as the parser allows."""
    waiting: list[tuple[Path, Any]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(((*path, key), value) for key, value in reversed(node.items()))
        elif isinstance(node, list):
            waiting.extend(((*path, index), value) for index, value in reversed(list(enumerate(node))))
        else:
            yield path, node


def _is_personal(path: Path) -> bool:
    names = [name for name in path if isinstance(name, str)]
    if not names:
        return False
    last = names[-1]
    if _PERSONAL.search(last) or any(_PERSONAL.search(name) for name in names[:-1] if name in ("street", "email", "phone")):
        return True
    within = next((name for name in names[:-1] if _CONTAINERS.match(name)), "")
    if within in ("note_attributes", "properties"):
        return not _NAMED_HARMLESS.match(last)
    if within:
        return not _HARMLESS.search(last) or last in ("name", "title") or (within == "payment" and last not in ("method", "method_title"))
    return any(_FREE_VALUES.match(name) for name in names[:-1]) and last in ("value", "display_value")


def _replaced(node: Any, shown: dict[Path, str], path: Path) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, shown, (*path, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, shown, (*path, index)) for index, value in enumerate(node)]
    return shown.get(path, node)
