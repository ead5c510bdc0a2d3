"""Adobe's two RSA signatures: I/O Events are signed with keys that Adobe publishes, Commerce Webhooks with the merchant's own key.

Sources: Adobe I/O Events, "Signature verification" and the SDK's signatureUtils; Commerce Webhooks, "Signature verification" (its sample
code, which signs the base64 text of the body).
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mappings.core.errors import Rejected
from mappings.core.json import parse
from mappings.core.signature import Credentials, KeyAway, Scheme, Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

# The sender chooses the path. Any other form could lead to another host: "@evil.example/x" appended to a host name does.
_KEY_PATH = re.compile(r"/prod/keys/[A-Za-z0-9._-]+\.pem")
_PAIRS = tuple((f"x-adobe-digital-signature-{number}", f"x-adobe-public-key{number}-path") for number in (1, 2))
_RECIPIENT = ("recipientclientid", "recipient_client_id")
_WEBHOOK_HEADER = "x-adobe-commerce-webhook-signature"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyScheme(Scheme):
    """Verification with a public key: only the platform can sign."""

    judge: Callable[[Mapping[str, str], bytes, Credentials], Verdict]

    def verify(self, headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
        """Verify a request."""
        return self.judge(headers, payload, credentials)


def adobe_io() -> KeyScheme:
    """I/O Events: one of two signatures must be valid. All of Adobe's customers share the keys, so the client id must match as well."""
    return KeyScheme(headers=(_PAIRS[0][0], _PAIRS[1][0]), check=_never, sign=_unsigned, can_sign=False, judge=_judge_event)


def adobe_webhook() -> KeyScheme:
    """Commerce Webhooks: a signature with the merchant's own key, over the base64 text of the body."""
    return KeyScheme(headers=(_WEBHOOK_HEADER,), check=_never, sign=_unsigned, can_sign=False, judge=_judge_webhook)


def is_public_key(pem: str) -> bool:
    """Whether a text is a public RSA key in PEM format."""
    return _key(pem.encode()) is not None


def _judge_event(headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
    pairs = [(headers[signature], headers.get(path, "")) for signature, path in _PAIRS if headers.get(signature, "").strip()]
    if not pairs:
        return Verdict.MISSING
    away = False
    for signature, path in pairs:
        if not _KEY_PATH.fullmatch(path.strip()) or credentials.fetch_key is None:
            continue
        try:
            holds = _holds(credentials.fetch_key(path.strip()), signature, payload)
        except KeyAway:
            away = True
            continue
        if holds:
            return Verdict.GENUINE if _is_for(payload, credentials.client_id) else Verdict.MISMATCH
    return Verdict.UNJUDGED if away else Verdict.MISMATCH


def _judge_webhook(headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
    signature = headers.get(credentials.header.lower() or _WEBHOOK_HEADER, "")
    if not signature.strip():
        return Verdict.MISSING
    holds = _holds(credentials.public_key.encode(), signature, base64.b64encode(payload))
    return Verdict.GENUINE if holds else Verdict.MISMATCH


# `cryptography` is imported where it is used: only stores with Adobe's signatures need it, and it would slow down every command.


def _holds(pem: bytes, signature: str, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    key = _key(pem)
    try:
        proof = base64.b64decode(signature.strip().encode("latin-1", "replace"), validate=True)
        if key is None:
            return False
        key.verify(proof, message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _key(pem: bytes) -> "RSAPublicKey | None":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem)
    except ValueError:
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _is_for(payload: bytes, client_id: str) -> bool:
    """Whether every event in a body is addressed to this client: another customer's events carry valid signatures too."""
    try:
        document = parse(payload)
    except Rejected:
        return False
    events: Sequence[Any] = document if isinstance(document, list) else [document]
    return bool(events) and bool(client_id) and all(client_id in _recipients(event) for event in events)


def _recipients(event: Any) -> Iterator[Any]:
    return (event.get(name) for name in _RECIPIENT) if isinstance(event, dict) else iter(())


def _never(proof: bytes, payload: bytes, secret: str, credentials: Credentials) -> bool:
    return False


def _unsigned(payload: bytes, secret: str, credentials: Credentials) -> str:
    return ""
