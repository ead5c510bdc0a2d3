"""The one validator of secrets: passwords, keys and tokens of every kind.

`SHORTEST` is below what every platform issues: Shopify signs with 32 or 64 hexadecimal digits, WooCommerce generates 50 characters
(`wp_generate_password(50)` in its webhook controllers) and REST keys of 43, Magento and Drip tokens of 32. Only secrets that a person chose
can be shorter.
"""

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable

SHORTEST = 8
SHORTEST_KEY = 16
"""For a key that signs cookies: whoever gets a cookie can try keys offline, as fast as a machine allows."""
WEAK_PASSWORD = (
    f"is shorter than {SHORTEST} characters, or a placeholder: "
    "it is accepted only while PUBLIC_URL and the listening address are this machine"
)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_KEY_BYTES = 32
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
# As in examples and forms, in lower case and without what stands between the words.
_EXAMPLES = {
    "changeme", "changethis", "changeit", "replaceme", "replacethis", "placeholder", "password", "passw0rd", "password1", "password123",
    "secret123", "letmein123", "yoursecret", "yoursecrethere", "yourwebhooksecret", "yourclientsecret", "yoursharedsecret",
    "yourpassword", "yourpasswordhere", "yourkeyhere", "yourapikey", "yourapikeyhere", "yourtokenhere", "youraccesstoken", "mysecret",
    "mypassword", "topsecret", "supersecret", "verysecret", "secretkey", "12345678", "123456789", "1234567890", "qwertyuiop",
    "administrator",
}  # fmt: skip
_TEMPLATE = re.compile(r"<.*>|\$\{.*\}|\{\{.*\}\}|([x*.?_-])\1*", re.IGNORECASE | re.DOTALL)
_PLACEHOLDER = "is a placeholder, which anyone could guess; set the real value"
_FORGERS = "is blank, so anyone could forge webhooks; set the store's secret, or leave it out"


def why_unusable(secret: str, *, blank: str = "is blank", shortest: int = SHORTEST) -> str:
    """What is wrong with a secret as it was set, or "". Only printable characters count: a zero-width space is as good as none."""
    bare = "".join(character for character in secret if character.isprintable()).strip()
    if not bare:
        return blank
    if len(bare) < shortest:
        return f"is shorter than {shortest} characters, so it could be guessed; set a longer one (openssl rand -hex 32 prints one)"
    if shortest >= SHORTEST and _is_placeholder(bare):
        return _PLACEHOLDER
    return ""


def why_forgeable(secret: str, *, shortest: int = SHORTEST) -> str:
    """The same for a secret that webhooks are verified with."""
    return why_unusable(secret, blank=_FORGERS, shortest=shortest)


def why_no_token(token: str) -> str:
    """The same for a key or token as platforms generate them: printable ASCII without spaces."""
    bare = token.strip()
    if bare and not _TOKEN.fullmatch(bare):
        return "contains a space or a character that no key has; copy it again"
    if bare and len(bare) < SHORTEST:
        return f"is shorter than {SHORTEST} characters, so part of it is missing; copy it again"
    if _is_placeholder(bare):
        return _PLACEHOLDER
    return "" if bare else "is blank"


def _is_placeholder(bare: str) -> bool:
    """Whether a secret was never filled in."""
    return re.sub(r"[\W_]", "", bare).lower() in _EXAMPLES or _TEMPLATE.fullmatch(bare) is not None


def usable(secrets: Iterable[str]) -> tuple[str, ...]:
    """Secrets as they are used: without the space around them that comes from the end of a file or of a copied line.

    WooCommerce trims the secret that is entered there as well (`sanitize_text_field`, in class-wc-admin-webhooks.php).
    """
    return tuple(bare for secret in secrets if (bare := secret.strip()))


def payload_key(text: str) -> bytes | None:
    """A key of PAYLOAD_KEYS, 32 bytes in hexadecimal digits or base64; None if it is neither."""
    bare = text.strip()
    try:
        key = bytes.fromhex(bare) if _HEX_KEY.fullmatch(bare) else urlsafe_b64decode(bare.replace("+", "-").replace("/", "_"))
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None
