"""Which addresses may stand in a body: those that can be reached from the internet, judged by their host alone."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mappings import VOCABULARIES, Item, Options, Order, Rejected, encode, render
from mappings.core.reachability import is_reachable

AT = datetime(2026, 1, 2, tzinfo=UTC)
OPTIONS = Options(public_url="https://adapter.example")
LOCAL = "http://127.0.0.1:8000"
ITEM = Item(
    product_id="5", product_variant_id="5", name="Mug", price=Decimal(9), quantity=Decimal(1), total=Decimal(9),
    built_url="https://shop.example/", image_url="https://cdn.example/mug.jpg",
)  # fmt: skip
ORDER = Order(
    provider="magento", order_id="1", email="ada@example.com", created_at=AT, updated_at=AT,
    grand_total=Decimal(9), original_total=Decimal(9), order_url="https://shop.example/orders/1",
    store_url="https://shop.example", items=(ITEM,),
)  # fmt: skip


@pytest.mark.parametrize(
    "host",
    [
        "shop.example", "sub.shop.example:8443", "shop.example.", "xn--mnchen-3ya.example", "münchen.example", "a_b.example.com",
        "user:pw@shop.example", "localhost.example", "myhome.example", "1.shop.example", "3.com", "8.8.8.8", "134744072", "0x8080808",
        "8.8.2056", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]",
    ],
)  # fmt: skip
def test_a_public_host(host: str) -> None:
    assert is_reachable(f"https://{host}/page")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8000", "localhost.", "shop.localhost", "localhost.localdomain", "shop", "web:5000", "shop.local",
        "shop.test", "shop.invalid", "shop.internal", "host.docker.internal", "nas.lan", "pc.home", "x.home.arpa", "intranet.corp",
        "shop.onion",
        "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0:5000", "0x",
        "10.1.2.3", "10.66051", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
        "1.2.3.4.5", "256.1.1.1", "08.1.1.1", "4294967296", "[::1]", "[::]", "[fe80::1%25eth0]", "[fc00::1]", "[ff02::1]",
        "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "user@localhost", "shop.example@127.0.0.1", "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\u30020\u30021",
        "%6c%6fcalhost", ".example", "a..example", "a b.example", "", "[bad]",
    ],
)  # fmt: skip
def test_a_host_of_this_machine_or_network(host: str) -> None:
    assert not is_reachable(f"http://{host}/page")


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "{:d}", "{:#x}", "{:#o}", "[::ffff:{}]"]))
def test_an_ip_address_counts_the_same_in_every_form(ip: Any, form: str) -> None:
    number = int(ip)
    host = form.format(ip) if "{}" in form else form.format(number).replace("0o", "0")
    assert is_reachable(f"http://{host}/") == (IPv4Address(number).is_global and not ip.is_multicast)


def rendered(order: Order, options: Options = OPTIONS) -> dict[str, Any]:
    return render(order, action=VOCABULARIES[options.vocabulary][0], occurred_at=AT, options=options)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_body_never_contains_an_unreachable_address(vocabulary: Any) -> None:
    local = replace(
        ORDER,
        order_url=f"{LOCAL}/orders/1",
        items=(
            replace(ITEM, image_url="http://10.0.0.5/mug.jpg", product_url="http://magento/mug", attributes={"guide": f"{LOCAL}/guide"}),
        ),
        attributes={
            "store_url": f"{LOCAL}/",
            "tracking_urls": ["http://track.local/1", "https://carrier.example/1"],
            "referring_site": "//localhost",
            "note": "Fits http://localhost users",
        },
    )
    body = rendered(local, dataclasses.replace(OPTIONS, vocabulary=vocabulary))
    [item] = body["items"]
    assert body["order_url"] == "https://shop.example"
    assert (item["product_url"], item["image_url"]) == ("https://shop.example/", "https://adapter.example/static/placeholder.png")
    assert (body["tracking_urls"], body["note"]) == (["https://carrier.example/1"], "Fits http://localhost users")
    assert not {"store_url", "referring_site"} & set(body)
    assert "guide" not in item
    assert LOCAL.encode() not in encode(body)


def test_in_the_sandbox_they_are_sent() -> None:
    sandbox = Options(public_url=LOCAL, local_addresses_allowed=True)
    body = rendered(
        replace(ORDER, order_url=f"{LOCAL}/orders/1", attributes={"store_url": LOCAL}, items=(replace(ITEM, image_url=""),)), sandbox
    )
    assert (body["order_url"], body["store_url"]) == (f"{LOCAL}/orders/1", LOCAL)
    assert body["items"][0]["image_url"] == f"{LOCAL}/static/placeholder.png"


@pytest.mark.parametrize(
    ("options", "image"),
    [
        (OPTIONS, "https://adapter.example/static/placeholder.png"),
        (dataclasses.replace(OPTIONS, placeholder_image="https://shop.example/none.png"), "https://shop.example/none.png"),
        (dataclasses.replace(OPTIONS, placeholder_image="http://localhost/none.png"), "https://adapter.example/static/placeholder.png"),
        (Options(), "https://shop.example/favicon.ico"),
        (Options(public_url="http://0.0.0.0:5000"), "https://shop.example/favicon.ico"),
    ],
    ids=["served", "the store's own", "the store's own is local", "no public address", "only the listening address"],
)
def test_a_product_without_an_image_gets_one_that_can_be_reached(options: Options, image: str) -> None:
    assert rendered(replace(ORDER, items=(replace(ITEM, image_url=""),)), options)["items"][0]["image_url"] == image


def test_a_shop_that_nobody_can_reach_is_represented_by_this_adapter() -> None:
    local = replace(ORDER, order_url=f"{LOCAL}/1", store_url=LOCAL, items=(replace(ITEM, built_url=f"{LOCAL}/"),))
    body = rendered(local)
    assert (body["order_url"], body["items"][0]["product_url"]) == ("https://adapter.example", "https://adapter.example")


def test_without_any_reachable_address_the_order_is_rejected_with_the_setting_that_helps() -> None:
    with pytest.raises(Rejected, match="set the store's store_url") as caught:
        rendered(replace(ORDER, order_url=f"{LOCAL}/1", store_url=LOCAL), Options())
    assert list(caught.value.problems) == ["order_url"]
