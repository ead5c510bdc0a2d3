"""Registering our webhooks at a store: what is there, what is missing or wrong, and what is done about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from adapter.errors import WorkFailed
from adapter.settings import Settings, Store
from adapter.stores.api import Platform, Registry, Webhook
from adapter.stores.platforms import platforms
from mappings import PROVIDERS


class Work(StrEnum):
    """What is to be done about a webhook."""

    KEEP = "keep"
    CREATE = "create"
    REPAIR = "repair"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `webhook` is the one that is there, if any."""

    work: Work
    topic: str
    why: str
    webhook: Webhook | None = None


def address_of(name: str, settings: Settings) -> str:
    """Where a store of this name posts its webhooks to."""
    return f"{settings.public_url}/webhooks/{name}"


def platform_named(name: str, settings: Settings) -> Platform:
    """The platform of a store of the settings, or the one of that name; raises `WorkFailed` for neither."""
    store = settings.store(name)
    found = platforms().get(store.provider.name if store else name)
    if found is None:
        known = ", ".join([*settings.stores, *(platform for platform in PROVIDERS if platform not in settings.stores)])
        raise WorkFailed(f"no store is called {name!r}: name one of {known}")
    return found


def plan(store: Store, registry: Registry, settings: Settings) -> list[Step]:
    """What would have to be done so that each topic that we need has one active webhook to our address."""
    address = address_of(store.name, settings)
    ours = [webhook for webhook in registry.webhooks() if _is_ours(webhook, store, settings)]
    return [step for topic in registry.topics for step in _steps(topic, [each for each in ours if each.topic == topic], address)]


def carry_out(step: Step, registry: Registry, address: str) -> None:
    """Do it; raises `StoreTrouble`."""
    if step.work is Work.CREATE:
        registry.create(step.topic, address)
    elif step.work is Work.REPAIR and step.webhook is not None:
        registry.repair(step.webhook, address)
    elif step.work is Work.DELETE and step.webhook is not None:
        registry.delete(step.webhook)


def _is_ours(webhook: Webhook, store: Store, settings: Settings) -> bool:
    """Whether a webhook was made for this adapter: others at the store are none of our business."""
    path = urlsplit(webhook.address).path.rstrip("/")
    at_our_path = any(path.endswith(f"/webhooks/{name}") for name in store.names)
    if urlsplit(webhook.address).netloc == urlsplit(settings.public_url).netloc:
        return at_our_path or not path.startswith("/webhooks/")
    # We may have moved; but `/webhooks/woocommerce` is a path that others choose too.
    return at_our_path and webhook.ours is not False


def _steps(topic: str, there: Sequence[Webhook], address: str) -> Iterator[Step]:
    good = next((webhook for webhook in there if webhook.active and webhook.address.rstrip("/") == address), None)
    if good is not None:
        yield Step(Work.KEEP, topic, "is active and points here", good)
    elif there:
        good = there[0]
        elsewhere = good.address.rstrip("/") != address
        yield Step(Work.REPAIR, topic, f"points to {good.address}" if elsewhere else "is disabled", good)
    else:
        yield Step(Work.CREATE, topic, "is missing")
    for webhook in there:
        if webhook is not good:
            yield Step(Work.DELETE, topic, "is there twice", webhook)
