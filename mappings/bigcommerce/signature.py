"""Standard Webhooks' signature, with the API account's client secret as the key.

Sources: BigCommerce, "Webhooks over HTTPS" (docs/integrations/webhooks/https-webhook-overview.mdx), which refers to the library of
standard-webhooks/standard-webhooks; its `webhooks.py` names the headers and what is signed.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from mappings.core.signature import Credentials, Scheme, Verdict

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_VERSION = b"v1,"
# Any time will do. The library refuses signatures older than five minutes, but BigCommerce repeats a webhook for two days; the ID, which is
# signed too, makes a captured one useless.
_SIGNED_AT = "1700000000"


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardWebhooks(Scheme):
    """HMAC-SHA256 over the webhook's ID, its time and the body; the header may contain several signatures."""

    def signed(self, payload: bytes, credentials: Credentials) -> Mapping[str, str]:
        """The headers of a signed request; equal payloads get the same ID."""
        signature = self.sign(payload, credentials.secrets[0], credentials)
        return {ID: _id_of(payload), TIMESTAMP: _SIGNED_AT, self.header(credentials): signature}

    def verify(self, headers: Mapping[str, str], payload: bytes, credentials: Credentials) -> Verdict:
        """Verify a request."""
        signatures = headers.get(self.header(credentials), "").encode("latin-1", "replace").split()
        if not signatures:
            return Verdict.MISSING
        message = _message(headers.get(ID, ""), headers.get(TIMESTAMP, ""), payload)
        # Every secret is tried with every signature, so that the time taken doesn't reveal which one matched.
        expected = [_signature(message, secret) for secret in credentials.secrets if secret]
        matches = [hmac.compare_digest(each, sent) for each in expected for sent in signatures]
        return Verdict.GENUINE if any(matches) else Verdict.MISMATCH


def standard_webhooks() -> StandardWebhooks:
    """The scheme of webhooks that BigCommerce signs."""
    return StandardWebhooks(headers=(SIGNATURE,), check=_never, sign=_sign)


def _sign(payload: bytes, secret: str, _: Credentials) -> str:
    return _signature(_message(_id_of(payload), _SIGNED_AT, payload), secret).decode()


def _never(proof: bytes, payload: bytes, secret: str, credentials: Credentials) -> bool:
    return False


def _id_of(payload: bytes) -> str:
    return f"msg_{hashlib.sha256(payload).hexdigest()[:24]}"


def _message(webhook_id: str, timestamp: str, payload: bytes) -> bytes:
    return f"{webhook_id}.{timestamp}.".encode("latin-1", "replace") + payload


def _signature(message: bytes, secret: str) -> bytes:
    return _VERSION + base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest())
