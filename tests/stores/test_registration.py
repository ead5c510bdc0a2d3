"""What to do about a store's webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from adapter.settings import Settings, Store
from adapter.stores.api import Webhook
from adapter.stores.registration import Fault, Work, address_of, carry_out, plan
from tests.support.adapter_under_test import make_settings

HERE = "https://adapter.example/webhooks/shop"


@dataclass
class Shelf:
    """A store's webhooks, as its API would store them."""

    there: list[Webhook]
    topics: Sequence[str] = ("order.created", "order.updated")
    chooses_secret: bool = True
    done: list[tuple[str, str]] = field(default_factory=list)

    def webhooks(self) -> list[Webhook]:
        return list(self.there)

    def create(self, topic: str, address: str) -> None:
        self.there.append(Webhook(id=f"new-{topic}", topic=topic, address=address))

    def repair(self, webhook: Webhook, address: str) -> None:
        self.there[self.there.index(webhook)] = replace(webhook, address=address, active=True)

    def delete(self, webhook: Webhook) -> None:
        self.there.remove(webhook)


@pytest.fixture
def settings() -> Settings:
    made = make_settings("http://127.0.0.1:1")
    store = replace(made.stores["woocommerce"], name="shop", aliases=("old-shop",))
    return replace(made, stores={"shop": store}, public_url_is_set=True)


def store_of(settings: Settings) -> Store:
    return settings.stores["shop"]


def works(registry: Shelf, settings: Settings) -> list[tuple[str, str]]:
    return [(step.work.value, step.topic) for step in plan(store_of(settings), registry, settings)]


def hook(topic: str = "order.created", address: str = HERE, *, name: str = "1", active: bool = True) -> Webhook:
    return Webhook(id=name, topic=topic, address=address, active=active)


def test_a_missing_webhook_is_created(settings: Settings) -> None:
    assert works(Shelf([]), settings) == [("create", "order.created"), ("create", "order.updated")]


def test_a_correct_webhook_is_kept(settings: Settings) -> None:
    assert works(Shelf([hook(), hook("order.updated", HERE + "/", name="2")]), settings) == [
        ("keep", "order.created"),
        ("keep", "order.updated"),
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (hook(active=False), "is disabled"),
        (hook(address="https://old-adapter.example/webhooks/shop"), "points to https://old-adapter.example/webhooks/shop"),
        (hook(address="https://adapter.example/webhooks/old-shop"), "points to https://adapter.example/webhooks/old-shop"),
        (hook(address="https://adapter.example/webhook"), "points to https://adapter.example/webhook"),
    ],
)
def test_a_wrong_webhook_is_repaired(settings: Settings, wrong: Webhook, why: str) -> None:
    [step, _] = plan(store_of(settings), Shelf([wrong]), settings)
    assert (step.work, step.why, step.webhook) == (Work.REPAIR, why, wrong)


@pytest.mark.parametrize(
    "address",
    [
        "https://drip.example/woocommerce",
        "https://adapter.example/webhooks/another-store",
        "https://elsewhere.example/webhooks/shop-two",
    ],
)
def test_the_webhooks_of_others_are_left_alone(settings: Settings, address: str) -> None:
    assert works(Shelf([hook(address=address)]), settings) == [("create", "order.created"), ("create", "order.updated")]


def test_one_with_our_path_on_another_host_and_a_different_name_is_left_alone(settings: Settings) -> None:
    elsewhere = replace(hook(address="https://erp.example/webhooks/shop"), ours=False)
    assert works(Shelf([elsewhere]), settings) == [("create", "order.created"), ("create", "order.updated")]
    assert works(Shelf([replace(elsewhere, ours=True)]), settings) == [("repair", "order.created"), ("create", "order.updated")]
    assert works(Shelf([replace(elsewhere, address=HERE, active=False)]), settings)[0] == ("repair", "order.created")


@pytest.mark.parametrize(
    ("path", "ours", "repaired"),
    [
        ("/webhooks/shopp", True, True),
        ("/webhooks/shopp", None, False),
        ("/webhooks/shopp", False, False),
        ("/webhooks/other", True, False),
    ],
    ids=["named as ours", "without a name", "named as somebody's", "another store's"],
)
def test_a_mistyped_path_on_our_host_is_ours_if_its_name_says_so(settings: Settings, path: str, ours: bool | None, repaired: bool) -> None:
    other = replace(settings.stores["shop"], name="other", aliases=())
    settings = replace(settings, stores={**settings.stores, "other": other})
    mistyped = replace(hook(address=f"https://adapter.example{path}"), ours=ours)
    assert works(Shelf([mistyped]), settings)[0] == ("repair" if repaired else "create", "order.created")


def test_webhooks_from_before_a_fault_are_repaired(settings: Settings) -> None:
    now = datetime.now(UTC)
    fault = Fault("their owner lost access", now)
    older = replace(hook(), created_at=now - timedelta(hours=1))
    newer = replace(hook("order.updated", name="2"), created_at=now + timedelta(seconds=5))
    undated = Shelf([hook()], topics=("order.created",))
    steps = plan(store_of(settings), Shelf([older, newer]), settings, fault)
    assert [(step.work, step.why) for step in steps] == [(Work.REPAIR, fault.why), (Work.KEEP, "is active and points here")]
    assert [step.work for step in plan(store_of(settings), undated, settings, fault)] == [Work.REPAIR]
    assert works(Shelf([older, newer]), settings) == [("keep", "order.created"), ("keep", "order.updated")]


def test_of_two_the_correct_one_is_kept(settings: Settings) -> None:
    registry = Shelf([hook(active=False, name="1"), hook(name="2"), hook(name="3")])
    steps = [(step.work, step.webhook.id) for step in plan(store_of(settings), registry, settings) if step.webhook]
    assert steps == [(Work.KEEP, "2"), (Work.DELETE, "1"), (Work.DELETE, "3")]


def test_afterwards_there_is_nothing_left_to_do(settings: Settings) -> None:
    others = hook("order.created", "https://drip.example/woocommerce", name="9")
    registry = Shelf([others, hook(active=False), hook(name="2", address="https://old.example/webhooks/shop")])
    for step in plan(store_of(settings), registry, settings):
        carry_out(step, registry, address_of("shop", settings))
    assert works(registry, settings) == [("keep", "order.created"), ("keep", "order.updated")]
    assert others in registry.there
    assert len(registry.there) == 3
