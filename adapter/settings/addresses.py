"""Network addresses: which are this machine's own, and which a setting lists."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks that are listed one by one, and with `private` all that are not part of the internet: loopback, 10.0.0.0/8 and the like."""

    listed: tuple[IPv4Network | IPv6Network, ...] = ()
    private: bool = False

    def __contains__(self, address: str) -> bool:
        ip = address_of(address)
        if ip is None:
            return False
        return (self.private and not ip.is_global) or any(ip in network for network in self.listed)


NOBODY = Networks()


def networks_of(text: str) -> Networks:
    """The networks in a list such as `private, 203.0.113.7, 2001:db8::/32`; raises `ValueError` for anything else."""
    names = [name for part in text.split(",") if (name := part.strip())]
    listed = tuple(ip_network(name, strict=False) for name in names if name.lower() != PRIVATE)
    return Networks(listed, private=len(listed) < len(names))


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """An IP address, also with a port or a zone; one that carries an IPv4 address (`::ffff:192.0.2.1`) is that. None for anything else."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        ip = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def is_loopback(address: str) -> bool:
    """Whether a URL, an IP address or HOST:PORT is this machine."""
    if "://" not in address:
        address = f"//[{address}]" if address.count(":") > 1 and "[" not in address else f"//{address}"
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    ip = address_of(host)
    return host == "localhost" or (ip is not None and ip.is_loopback)


def is_this_machine(address: str) -> bool:
    """The same, or every address of it: where an adapter listens that nobody is told about."""
    ip = address_of(urlsplit(address).hostname or "")
    return is_loopback(address) or (ip is not None and ip.is_unspecified)
