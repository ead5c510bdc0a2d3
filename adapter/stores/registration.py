"""Registering the adapter's webhooks in a store: which exist, which are missing or wrong, and how to fix that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

import requests

from adapter.errors import WorkFailed
from adapter.settings import Settings, Store, unknown_store
from adapter.stores.api import Platform, Registry, Webhook
from adapter.stores.platforms import platforms
from mappings import PROVIDERS

_PROBE_S = 10


class Work(StrEnum):
    """What to do about a webhook."""

    KEEP = "keep"
    CREATE = "create"
    REPAIR = "repair"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `webhook` is the existing one, if any."""

    work: Work
    topic: str
    why: str
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a store's webhooks although each looks right; `last_at` is when that last showed."""

    why: str
    last_at: datetime


def address_of(name: str, settings: Settings) -> str:
    """Where a store of this name posts its webhooks."""
    return f"{settings.public_url}/webhooks/{name}"


def platform_named(name: str, settings: Settings) -> Platform:
    """The platform of a configured store, or the platform of that name; raises `WorkFailed` for neither."""
    store = settings.store(name)
    found = platforms().get(store.provider.name if store else name)
    if found is None:
        raise WorkFailed(f"{unknown_store(name, settings.stores)}; or name a platform: {', '.join(PROVIDERS)}")
    return found


def require_reachable(name: str, settings: Settings) -> None:
    """Raise `WorkFailed` unless this adapter answers at PUBLIC_URL, and has a store of this name there."""
    if not _ask(f"{settings.public_url}/healthz", 200).startswith(b'{"status":"ok"'):
        raise WorkFailed(f"PUBLIC_URL: what answers at {settings.public_url} is not this adapter")
    _ask(address_of(name, settings), 405)  # for a GET: webhooks are posted


def _ask(url: str, expected: int) -> bytes:
    try:
        answer = requests.get(url, timeout=_PROBE_S, allow_redirects=False)
    except requests.RequestException as error:
        why = f"no answer from {url} ({type(error).__name__}): is the adapter running, and can stores reach it there?"
        raise WorkFailed(f"PUBLIC_URL: {why}") from error
    if answer.is_redirect:  # which WooCommerce does not follow, but counts as a success
        raise WorkFailed(f"PUBLIC_URL: {url} redirects to {answer.headers['Location'][:200]}: set PUBLIC_URL to the final address")
    if answer.status_code == 404 and expected == 405:
        raise WorkFailed(f"PUBLIC_URL: the adapter there has no such store: restart it with the current settings ({url} answered 404)")
    if answer.status_code != expected:
        raise WorkFailed(f"PUBLIC_URL: {url} answered {answer.status_code}; this adapter would not")
    return b"".join(answer.content.split())


def plan(store: Store, registry: Registry, settings: Settings, fault: Fault | None = None) -> list[Step]:
    """What to do so that each topic the adapter needs has one active webhook to its address.

    With a `fault`, webhooks that look right but were registered before it last showed are repaired too.
    """
    address = address_of(store.name, settings)
    ours = [webhook for webhook in registry.webhooks() if _is_ours(webhook, store, settings)]
    return [step for topic in registry.topics for step in _steps(topic, [each for each in ours if each.topic == topic], address, fault)]


def carry_out(step: Step, registry: Registry, address: str) -> None:
    """Carry out one step; raises `StoreTrouble`."""
    if step.work is Work.CREATE:
        registry.create(step.topic, address)
    elif step.work is Work.REPAIR and step.webhook is not None:
        registry.repair(step.webhook, address)
    elif step.work is Work.DELETE and step.webhook is not None:
        registry.delete(step.webhook)


def _is_ours(webhook: Webhook, store: Store, settings: Settings) -> bool:
    """Whether a webhook was created for this adapter and this store; all others are left alone."""
    path = urlsplit(webhook.address).path.rstrip("/")
    at_our_path = any(path.endswith(f"/webhooks/{name}") for name in store.names)
    if urlsplit(webhook.address).netloc == urlsplit(settings.public_url).netloc:
        if at_our_path or not path.startswith("/webhooks/"):
            return True
        # Named as ours, with a path to no existing store: a typo.
        return webhook.ours is True and settings.store(path.removeprefix("/webhooks/")) is None
    # The adapter may have moved; but others choose the path `/webhooks/woocommerce` too.
    return at_our_path and webhook.ours is not False


def _steps(topic: str, there: Sequence[Webhook], address: str, fault: Fault | None) -> Iterator[Step]:
    good = next((webhook for webhook in there if webhook.active and webhook.address.rstrip("/") == address), None)
    if good is not None and fault is not None and (good.created_at is None or good.created_at <= fault.last_at):
        yield Step(Work.REPAIR, topic, fault.why, good)
    elif good is not None:
        yield Step(Work.KEEP, topic, "is active and points here", good)
    elif there:
        good = there[0]
        elsewhere = good.address.rstrip("/") != address
        yield Step(Work.REPAIR, topic, f"points to {good.address}" if elsewhere else "is disabled", good)
    else:
        yield Step(Work.CREATE, topic, "is missing")
    for webhook in there:
        if webhook is not good:
            yield Step(Work.DELETE, topic, "is a duplicate", webhook)
