"""Verifies signatures: headers and bytes in, a verdict out. Secrets and digests are compared in constant time, as bytes."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """The result of a verification. Only `GENUINE` requests are accepted."""

    GENUINE = "genuine"
    MISSING = "missing"
    MISMATCH = "mismatch"
    OTHER_SHOP = "other_shop"
    """Genuine, but from another shop than the store's own: they share a secret."""
    UNJUDGED = "unjudged"
    """It may be genuine, but the key to verify it isn't available right now."""


class KeyAway(Exception):  # noqa: N818 - reads as what it is in `except`
    """The public key for a request can't be fetched right now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What one store's requests are verified with. `secrets` are the current one and, while rotating, the previous one."""

    secrets: Sequence[str] = field(repr=False)
    header: str = ""
    """The header that the store uses; blank for the scheme's default."""
    username: str = ""
    client_id: str = ""
    """Adobe I/O Events: the recipient that every event must have."""
    public_key: str = ""
    """Adobe Commerce Webhooks: PEM."""
    fetch_key: Callable[[str], bytes] | None = None
    """Adobe I/O Events: path -> the PEM that Adobe publishes there; b"" if there is none. Raises `KeyAway`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A way to verify a request: the headers that can contain the signature, and how it is checked."""

    headers: Sequence[str]
    """Lower-case names; the first that is present counts."""
    check: Callable[[bytes, bytes, str, Credentials], bool]
    """(signature as sent, payload, one secret, credentials) -> whether it matches."""
    sign: Callable[[bytes, str, Credentials], str]
    """(payload, secret, credentials) -> the header's value, as the store would send it; for `replay` and tests."""
    can_sign: bool = True
    """Whether `sign` works; not if only the platform has the private key."""

    def header(self, credentials: Credentials) -> str:
        """The name of the header with the signature of this store's requests."""
        return credentials.header.lower() or self.headers[0]

    def signed(self, payload: bytes, credentials: Credentials) -> Mapping[str, str]:
        """The headers with which the store would sign a payload, with the current secret; for `replay` and tests."""
        return {self.header(credentials): self.sign(payload, credentials.secrets[0], credentials)}

    def verify(self, headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
        """Verify a request; `headers` has lower-case names and latin-1 values, as in WSGI."""
        names = (credentials.header.lower(),) if credentials.header else self.headers
        signature = next((headers[name] for name in names if headers.get(name, "").strip()), "")
        if not signature:
            return Verdict.MISSING
        sent = signature.strip().encode("latin-1", "replace")
        # Every secret is tried, so that the time taken doesn't reveal which one matched.
        matches = [self.check(sent, payload, secret, credentials) for secret in credentials.secrets if secret]
        return Verdict.GENUINE if any(matches) else Verdict.MISMATCH


def _digest(payload: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), payload, hashlib.sha256).digest()


def _base64_matches(proof: bytes, payload: bytes, secret: str, _: Credentials) -> bool:
    return hmac.compare_digest(proof, base64.b64encode(_digest(payload, secret)))


def _hex_or_base64_matches(proof: bytes, payload: bytes, secret: str, _: Credentials) -> bool:
    bare = proof[7:] if proof[:7].lower() == b"sha256=" else proof
    digest = _digest(payload, secret)
    in_hex = hmac.compare_digest(bare.lower(), binascii.hexlify(digest))
    return hmac.compare_digest(bare, base64.b64encode(digest)) or in_hex


def _token_matches(proof: bytes, payload: bytes, secret: str, _: Credentials) -> bool:
    bare = proof[7:].strip() if proof[:7].lower() == b"bearer " else proof
    return hmac.compare_digest(bare, secret.encode())


def _basic_matches(proof: bytes, payload: bytes, secret: str, credentials: Credentials) -> bool:
    expected = base64.b64encode(f"{credentials.username}:{secret}".encode())
    return proof[:6].lower() == b"basic " and hmac.compare_digest(proof[6:].strip(), expected)


def hmac_base64(*headers: str) -> Scheme:
    """Base64 of HMAC-SHA256 over the raw body: Shopify, WooCommerce."""
    return Scheme(
        headers=headers, check=_base64_matches, sign=lambda payload, secret, _: base64.b64encode(_digest(payload, secret)).decode()
    )


def hmac_hex_or_base64(*headers: str) -> Scheme:
    """HMAC-SHA256 in hex or base64, with or without a `sha256=` prefix: the Magento extensions differ."""
    return Scheme(headers=headers, check=_hex_or_base64_matches, sign=lambda payload, secret, _: _digest(payload, secret).hex())


def token(header: str) -> Scheme:
    """A fixed token in a header, with or without `Bearer`."""
    return Scheme(
        headers=(header,),
        check=_token_matches,
        sign=lambda _, secret, credentials: secret if credentials.header else f"Bearer {secret}",
    )


def basic() -> Scheme:
    """User name and password."""
    return Scheme(
        headers=("authorization",),
        check=_basic_matches,
        sign=lambda _, secret, credentials: "Basic " + base64.b64encode(f"{credentials.username}:{secret}".encode()).decode(),
    )
