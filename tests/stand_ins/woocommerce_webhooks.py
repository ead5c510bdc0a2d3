"""The webhooks of the stand-in for a WooCommerce shop: what they contain, when they fail, and what the REST API shows of them.

As in woocommerce/woocommerce: class-wc-webhook.php (`build_payload`, `log_delivery`, `failed_delivery`, `deliver_ping`),
class-wc-webhook-data-store.php (`update`) and class-wc-rest-webhooks-v1-controller.php. A webhook is a dict with the columns of the table
wc_webhooks; `user` is the user who created it.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

MOST_FAILURES = 5
_SHOWN = ("id", "name", "status", "topic", "delivery_url", "date_created_gmt", "date_modified_gmt")
_LOCAL = ("127.0.0.1", "localhost")


def created(number: int, body: Mapping[str, Any], user: str) -> dict[str, Any]:
    """A webhook as POST creates it: always active, of the API's version, and pinged at once."""
    hook = {
        "id": number, "name": body.get("name") or "Webhook created on some day", "status": "active", "topic": body["topic"],
        "delivery_url": body["delivery_url"], "secret": body.get("secret") or secrets.token_urlsafe(37), "user": user, "api_version": 3,
        "failure_count": 0, "pending_delivery": True, "date_created_gmt": _now(), "date_modified_gmt": None,
    }  # fmt: skip
    ping(hook)
    return hook


def update(hook: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Change a webhook as PUT does: its owner and its count of failures stay."""
    hook.update({name: body[name] for name in ("name", "topic", "delivery_url", "secret", "status") if body.get(name)})
    saved(hook)
    if hook["status"] == "active" and ("delivery_url" in body or hook.get("pending_delivery")):
        ping(hook)


def shown(hook: Mapping[str, Any]) -> dict[str, Any]:
    """A webhook as the REST API returns it: without its secret, its owner and its failures."""
    return {name: hook.get(name) for name in _SHOWN}


def ping(hook: dict[str, Any]) -> None:
    """The unsigned form post that is repeated until it is answered 200. It never counts as a failure."""
    if post(hook, f"webhook_id={hook['id']}", {"Content-Type": "application/x-www-form-urlencoded"}) == 200:
        hook["pending_delivery"] = False
        saved(hook)


def deliver(hook: dict[str, Any], body: bytes, headers: Mapping[str, str]) -> int:
    """Post a payload and record the result: the seventh failure in a row disables the webhook. It is saved in either case."""
    status = post(hook, body, headers)
    failures = hook.get("failure_count", 0)
    if 200 <= status < 303:
        hook["failure_count"] = 0
    elif failures > MOST_FAILURES:
        hook["status"] = "disabled"
    else:
        hook["failure_count"] = failures + 1
    saved(hook)
    return status


def post(hook: Mapping[str, Any], body: bytes | str, headers: Mapping[str, str]) -> int:
    """The status of the response; 0 without one. Redirects are not followed. Nothing is sent to other machines."""
    if urlsplit(hook["delivery_url"]).hostname not in _LOCAL:
        return 0
    try:
        return requests.post(hook["delivery_url"], data=body, headers=headers, timeout=10, allow_redirects=False).status_code
    except requests.RequestException:
        return 0


def saved(hook: dict[str, Any]) -> None:
    hook["date_modified_gmt"] = _now()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
