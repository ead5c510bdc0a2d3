"""Stores that share a secret don't accept each other's webhooks."""

import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from adapter.settings import Settings
from tests.support.adapter_under_test import SECRET, make_settings, shopify_order, signed
from tests.support.whole_app import create_app

EU, US = "eu.myshopify.com", "us.myshopify.com"


def two_stores(provider: str, eu: dict[str, str], us: dict[str, str], *, secrets: tuple[str, str] = (SECRET, SECRET)) -> Settings:
    """Two stores of a platform with these addresses: `store_url`, `api_url`."""
    settings = make_settings("http://127.0.0.1:1")
    usual = settings.stores[provider]
    stores = {
        name: replace(
            usual,
            name=name,
            credentials=replace(usual.credentials, secrets=(secret,)),
            options=replace(usual.options, store_url=urls.get("store_url", "")),
            api=replace(usual.api, url=urls.get("api_url", "")),
        )
        for name, urls, secret in (("eu", eu, secrets[0]), ("us", us, secrets[1]))
    }
    return replace(settings, stores=stores)


def post(client: FlaskClient, store: str, document: Any, **headers: str) -> tuple[int, str]:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    proof = signed(payload, "woocommerce" if "date_created_gmt" in str(document) else "shopify")
    answer = client.post(f"/webhooks/{store}", data=payload, headers={**proof, **{k.replace("_", "-"): v for k, v in headers.items()}})
    return answer.status_code, answer.get_data(as_text=True)


def woo_order(base: str) -> dict[str, Any]:
    return {"id": 1, "date_created_gmt": "2026-01-01T00:00:00", "_links": {"self": [{"href": f"{base}/wp-json/wc/v3/orders/1"}]}}


@pytest.mark.parametrize("known", [{"api_url": f"https://{EU}"}, {"store_url": f"https://{EU}/"}])
def test_a_shopify_app_of_two_shops(engine: Engine, known: dict[str, str]) -> None:
    client = create_app(two_stores("shopify", known, {"api_url": f"https://{US}"}), engine).test_client()
    assert post(client, "eu", shopify_order(1), X_Shopify_Shop_Domain=EU)[0] == 200
    assert post(client, "eu", shopify_order(2), X_Shopify_Shop_Domain=EU.upper())[0] == 200
    status, why = post(client, "eu", shopify_order(3), X_Shopify_Shop_Domain=US)
    assert status == 403
    assert f"it comes from {US}, the shop of store us: send it to /webhooks/us" in why
    status, why = post(client, "eu", shopify_order(4), X_Shopify_Shop_Domain="third.myshopify.com")
    assert status == 403
    assert "third.myshopify.com" in why
    assert EU in why


@pytest.mark.parametrize("domain", ["[", "https://[us.myshopify.com", "[::1"])
def test_a_header_that_is_no_address_is_named_as_it_is(engine: Engine, domain: str) -> None:
    client = create_app(two_stores("shopify", {"api_url": f"https://{EU}"}, {"api_url": f"https://{US}"}), engine).test_client()
    status, why = post(client, "eu", shopify_order(1), X_Shopify_Shop_Domain=domain)
    assert status == 403
    assert f"it comes from {domain}, but the shop of store eu is {EU}, by its settings" in why


def test_only_the_other_shop_is_known(engine: Engine) -> None:
    client = create_app(two_stores("shopify", {}, {"api_url": f"https://{US}"}), engine).test_client()
    assert post(client, "eu", shopify_order(1), X_Shopify_Shop_Domain=EU)[0] == 200
    assert post(client, "eu", shopify_order(2), X_Shopify_Shop_Domain=US)[0] == 403


def test_a_forged_header_does_not_hide_the_signed_body(engine: Engine) -> None:
    settings = two_stores("shopify", {"api_url": f"https://{EU}"}, {"store_url": "https://www.us-shop.example"})
    client = create_app(settings, engine).test_client()
    foreign = shopify_order(1, order_status_url="https://us-shop.example/1/orders/x")
    assert post(client, "eu", foreign, X_Shopify_Shop_Domain=EU)[0] == 403
    escaped = json.dumps(foreign).replace("/", "\\/").encode()
    assert post(client, "eu", escaped, X_Shopify_Shop_Domain=EU)[0] == 403
    market = shopify_order(2, order_status_url="https://market-of-eu.example/1/orders/x")
    assert post(client, "eu", market, X_Shopify_Shop_Domain=EU)[0] == 200


@pytest.mark.parametrize(
    ("eu", "us", "base", "status"),
    [
        ("https://eu.example", "https://us.example", "https://eu.example", 200),
        ("https://eu.example", "https://us.example", "http://www.eu.example", 200),
        ("https://eu.example", "https://us.example", "https://eu.example/de", 200),
        ("https://eu.example", "https://us.example", "https://us.example", 403),
        ("https://eu.example", "", "https://pages-of-eu.example", 200),
        ("", "https://us.example", "https://us.example", 403),
        ("", "https://us.example", "https://eu.example", 200),
        ("https://shop.example/eu", "https://shop.example/us", "https://shop.example/us", 403),
        ("https://shop.example", "https://shop.example/us", "https://shop.example/us", 403),
        ("https://shop.example", "https://shop.example/us", "https://shop.example", 200),
    ],
)
@pytest.mark.parametrize("where", ["header", "body"])
def test_two_woocommerce_shops_with_one_secret(engine: Engine, eu: str, us: str, base: str, status: int, where: str) -> None:
    client = create_app(two_stores("woocommerce", {"store_url": eu}, {"store_url": us}), engine).test_client()
    document = woo_order(base) if where == "body" else {"id": 1, "date_created_gmt": "2026-01-01T00:00:00"}
    headers = {"X_WC_Webhook_Source": f"{base}/"} if where == "header" else {}
    assert post(client, "eu", document, **headers)[0] == status


def test_a_secret_of_its_own_is_proof_enough_for_woocommerce(engine: Engine) -> None:
    settings = two_stores(
        "woocommerce", {"store_url": "https://eu.example"}, {"store_url": "https://us.example"}, secrets=(SECRET, "another")
    )
    client = create_app(settings, engine).test_client()
    assert post(client, "eu", woo_order("https://behind-a-cdn.example"), X_WC_Webhook_Source="https://behind-a-cdn.example/")[0] == 200


@pytest.mark.parametrize(
    ("producer", "status"),
    [
        (b"stores/eu1", 200),
        (b"stores\\/eu1", 200),
        (b"stores/us2", 403),
        (b"stores\\/us2", 403),
        (b"stores/unknown", 200),
        (b"stores/us2/more", 200),
    ],
)
def test_a_bigcommerce_app_of_two_stores(engine: Engine, producer: bytes, status: int) -> None:
    paths = [{"api_url": f"https://api.bigcommerce.com/stores/{path}"} for path in ("eu1/v3/", "us2")]
    client = create_app(two_stores("bigcommerce", paths[0], paths[1]), engine).test_client()
    webhook = b'{"producer": "%s", "scope": "store/order/updated", "data": {"type": "order", "id": 1}}' % producer
    answer = client.post("/webhooks/eu", data=webhook, headers=signed(webhook, "bigcommerce"))
    assert answer.status_code == status
    assert status == 200 or "the shop of store us: send it to /webhooks/us" in answer.get_data(as_text=True)


def test_the_refusal_is_counted_and_explained(engine: Engine) -> None:
    client = create_app(two_stores("shopify", {"api_url": f"https://{EU}"}, {"api_url": f"https://{US}"}), engine).test_client()
    post(client, "eu", shopify_order(1), X_Shopify_Shop_Domain=US)
    report = client.get("/status").get_json()
    assert report["stores"]["eu"]["refused"]["other_shop"]["count"] == 1
    [finding] = [each for each in report["findings"] if each["code"] == "signature_other_shop"]
    assert "another shop" in finding["text"]
