"""Network addresses: which are this machine's own."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Whether a URL, an IP address or HOST:PORT is this machine."""
    if "://" not in address:
        address = f"//[{address}]" if address.count(":") > 1 and "[" not in address else f"//{address}"
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
