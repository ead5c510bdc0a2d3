"""Proof over a payload's bytes. Headers and bytes in, a verdict out; secrets and digests are compared in constant time, as bytes."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What became of the proof. Only `GENUINE` opens the door."""

    GENUINE = "genuine"
    MISSING = "missing"
    MISMATCH = "mismatch"
    UNJUDGED = "unjudged"
    """It may be genuine: the key to judge it by cannot be had just now."""


class KeyAway(Exception):  # noqa: N818 - reads as what it is in `except`
    """The public key that a request names cannot be fetched just now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What one store's requests are checked against. `secrets` are the current one and, while rotating, the previous one."""

    secrets: Sequence[str] = field(repr=False)
    header: str = ""
    """The store's own name for the header; blank for the scheme's default."""
    username: str = ""
    client_id: str = ""
    """Adobe I/O Events: to whom every event must be addressed."""
    public_key: str = ""
    """Adobe Commerce Webhooks: PEM."""
    fetch_key: Callable[[str], bytes] | None = None
    """Adobe I/O Events: path -> PEM, as Adobe publishes it; b"" if there is no such key. Raises `KeyAway`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A way to prove a request genuine: the headers that may carry the proof, and the check of it."""

    headers: Sequence[str]
    """Lower-case names; the first that is present counts."""
    check: Callable[[bytes, bytes, str, Credentials], bool]
    """(proof as sent, payload, one secret, credentials) -> whether the proof holds."""
    sign: Callable[[bytes, str, Credentials], str]
    """(payload, secret, credentials) -> the header's value as the store would send it; used by `replay` and the tests."""
    can_sign: bool = True
    """Whether we can sign as the store would; not where only the platform has the key."""

    def header(self, credentials: Credentials) -> str:
        """The name of the header in which this store's requests carry the proof."""
        return credentials.header.lower() or self.headers[0]

    def verify(self, headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
        """Judge a request; `headers` has lower-case names and latin-1 values, as WSGI hands them over."""
        names = (credentials.header.lower(),) if credentials.header else self.headers
        proof = next((headers[name] for name in names if headers.get(name, "").strip()), "")
        if not proof:
            return Verdict.MISSING
        sent = proof.strip().encode("latin-1", "replace")
        # Every secret is tried, so that the time taken does not tell which one held.
        held = [self.check(sent, payload, secret, credentials) for secret in credentials.secrets if secret]
        return Verdict.GENUINE if any(held) else Verdict.MISMATCH


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
    """A constant value in a header, with or without `Bearer`."""
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
