"""Whether an address can be reached from the internet, judged by its host alone: nothing is looked up.

Drip puts addresses into email, so a body never contains one that only works on the shop's own machine or network.
"""

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, unquote, urlsplit

# Names that only exist on private networks: RFC 6761 (localhost, test, invalid), RFC 6762 (local, and in appendix G internal, intranet,
# private, corp, home, lan), RFC 8375 (home.arpa), RFC 7686 (onion), and localdomain, which Linux puts into /etc/hosts. RFC 6761 reserves
# `example` too, but for documentation: no shop runs there, and documents and fixtures need names that belong to nobody.
_PRIVATE_ENDINGS = (
    "localhost", "test", "invalid", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa", "onion", "localdomain",
)  # fmt: skip
_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?", re.ASCII)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# RFC 1035, section 2.3.4; percent-encoded, a character becomes up to twelve.
_LONGEST_NAME = 253
_LONGEST_HOST = 12 * _LONGEST_NAME
# The networks of IPv6 that carry an IPv4 address in their last 32 bits: IPv4-compatible, and NAT64 (RFC 6052).
_EMBEDS_IPV4 = (0, 0x64FF9B << 96)


# The items of an order share their addresses, or two or three hosts.
@lru_cache(maxsize=1024)
def is_reachable(url: str) -> bool:
    """Whether an absolute address names a public host: a public IP address, or a name with a dot outside private networks' names."""
    try:
        # Encoded first: `urlsplit` normalizes a host that isn't ASCII, in a time that grows with the square of its length.
        host = urlsplit(url if url.isascii() else quote(url, safe="/%:?#@[]")).hostname or ""
    except ValueError:  # brackets that aren't an IPv6 address
        return False
    return len(host) <= _LONGEST_HOST and _is_public_host(host)


@lru_cache(maxsize=1024)
def _is_public_host(host: str) -> bool:
    if ":" in host:
        return _is_public(host)
    # As a browser reads it: percent signs decoded, full-width digits and dots folded.
    decoded = unquote(host)
    if len(decoded) > _LONGEST_NAME:
        return False
    name = unicodedata.normalize("NFKC", decoded).lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return (number := _ipv4(labels)) is not None and _is_public(str(number))
    return len(labels) > 1 and all(map(_is_label, labels)) and not any(f".{name}".endswith(f".{ending}") for ending in _PRIVATE_ENDINGS)


def _is_label(label: str) -> bool:
    # Underscores occur in practice; letters beyond ASCII are names that aren't encoded yet.
    return bool(label) and all(_LABEL.fullmatch(part) for part in _NOT_ASCII.sub("a", label).split("_") if part)


def _is_public(address: str) -> bool:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and (inner := _inner(ip)) is not None:
        ip = inner
    return ip.is_global and not ip.is_multicast


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, translated, or tunneled."""
    if ip.ipv4_mapped or ip.sixtofour:
        return ip.ipv4_mapped or ip.sixtofour
    if ip.teredo:
        return ip.teredo[1]
    number = int(ip)
    return IPv4Address(number & 0xFFFFFFFF) if number >> 32 << 32 in _EMBEDS_IPV4 else None


def _ipv4(labels: list[str]) -> IPv4Address | None:
    """An IPv4 address in any form that browsers read: `127.1`, `0x7f.1`, `017700000001`, `2130706433`; None if it is none."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        return None
    try:
        *first, last = (_digits(label) for label in labels)
    except ValueError:
        return None
    if any(part > 255 for part in first) or last >= 256 ** (4 - len(first)):
        return None
    return IPv4Address(sum(part << 8 * (3 - place) for place, part in enumerate(first)) + last)


def _digits(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if len(label) > 1 and label.startswith("0") else 10)
