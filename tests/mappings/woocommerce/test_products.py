"""WooCommerce's product webhooks: which data they contain, and that they never count as orders."""

from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, Product, ProductKey, encode
from mappings.woocommerce.products import product_of
from tests.support.fixture_cases import RECEIVED_AT

WOOCOMMERCE = PROVIDERS["woocommerce"]
FULL_TOPICS = ("product.created", "product.updated", "product.restored", "product.published")


def product(**more: Any) -> dict[str, Any]:
    """A product of the documented shape."""
    return {
        "id": 52, "name": "Kettle &amp; Stand", "slug": "kettle", "permalink": "https://tea.example/product/kettle/", "type": "simple",
        "status": "publish", "catalog_visibility": "visible", "sku": "K-52", "price": "49.00", "total_sales": 3, "parent_id": 0,
        "categories": [
            {"id": 15, "name": "Uncategorized", "slug": "uncategorized"},
            {"id": 16, "name": "Pots &amp; <i>Kettles</i>", "slug": "pots"},
            {"id": 17, "name": "Gifts", "slug": "gifts"},
        ],
        "tags": [{"id": 20, "name": "steel", "slug": "steel"}],
        "brands": [{"id": 30, "name": "Hearth&#038;Home", "slug": "hh"}, {"id": 31, "name": "Other", "slug": "other"}],
        "images": [
            {"id": 1, "src": "https://tea.example/wp-content/uploads/kettle.jpg", "alt": ""},
            {"id": 2, "src": "https://tea.example/wp-content/uploads/kettle-2.jpg", "alt": ""},
        ],
        **more,
    }  # fmt: skip


def described(document: Any, topic: str = "product.updated", **options: Any) -> list[Product]:
    return list(WOOCOMMERCE.products(document, Context(topic=topic, received_at=RECEIVED_AT, options=Options(**options))))


def picture(*sources: Any) -> str:
    [product_described] = described(product(images=[{"src": source} for source in sources]))
    return product_described.image_url


@pytest.mark.parametrize("topic", [*FULL_TOPICS, "Product.Updated"])
def test_a_product_is_read_with_all_its_data(topic: str) -> None:
    assert described(product(), topic) == [
        Product(
            key=ProductKey("52"),
            url="https://tea.example/product/kettle/",
            image_url="https://tea.example/wp-content/uploads/kettle.jpg",
            brand="Hearth&Home",
            categories=("Pots & Kettles", "Gifts"),
            tags=("steel",),
        )
    ]


def test_a_variation_is_read_as_part_of_its_product() -> None:
    [variation] = described(product(id=60, parent_id=52, type="variation", categories=[], brands=[], tags=[]))
    assert variation.key == ProductKey("52", "60")
    assert variation.categories == ()
    assert variation.image_url.endswith("kettle.jpg")


@pytest.mark.parametrize(("stated", "is_of_it"), [(52, True), (0, True), (53, False)])
def test_a_variation_that_names_another_product_is_not_of_this_one(stated: int, is_of_it: bool) -> None:
    found = product_of(product(id=60, parent_id=stated, type="variation"), "https://tea.example", parent_id="52")
    assert (found.key if found else None) == (ProductKey("52", "60") if is_of_it else None)


def test_part_of_a_grouped_product_is_a_product() -> None:
    """Grouped products used to be parents of their parts."""
    [part] = described(product(parent_id=52, id=61))
    assert part.key == ProductKey("61")


def test_a_product_in_the_trash_is_gone() -> None:
    assert described({"id": 52}, "product.deleted") == [Product(key=ProductKey("52"), gone=True)]


@pytest.mark.parametrize("topic", [*FULL_TOPICS, "product.deleted"])
@pytest.mark.parametrize(
    "document",
    [
        None, 7, "text", [], [product()], {}, {"id": 0}, {"id": None}, {"id": ""}, {"id": "x"}, {"id": []}, {"id": True},
        {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 401}},
        {"code": "woocommerce_rest_product_invalid_id", "message": "Invalid ID.", "data": {"status": 404}},
    ],
)  # fmt: skip
def test_other_documents_describe_no_product(document: Any, topic: str) -> None:
    assert described(document, topic) == []


@pytest.mark.parametrize("topic", ["", "order.updated", "customer.created", "action.wc_product"])
def test_other_topics_describe_no_product(topic: str) -> None:
    assert described(product(), topic) == []


@pytest.mark.parametrize("name", ["permalink", "images", "categories", "tags", "brands", "parent_id", "type"])
@pytest.mark.parametrize("value", [None, False, "", 0, [], {}, [None], [{"name": None, "src": False}], {"a": {"name": [], "src": {}}}])
def test_a_field_of_the_wrong_type_is_blank(name: str, value: Any) -> None:
    [read] = described(product(**{name: value}))
    assert read.key == ProductKey("52")
    blank = {"permalink": "url", "images": "image_url", "categories": "categories", "tags": "tags", "brands": "brand"}
    assert name not in blank or not getattr(read, blank[name])


def test_a_picture_that_every_mail_client_can_show_is_preferred() -> None:
    site = "https://tea.example/"
    assert picture(f"{site}a.webp", f"{site}b.AVIF?v=1", f"{site}c.png", f"{site}d.jpg") == f"{site}c.png"
    assert picture(f"{site}a.jpg?format=.webp", f"{site}b.png") == f"{site}a.jpg?format=.webp"
    assert picture(f"{site}a.webp", f"{site}b.avif") == f"{site}a.webp"
    assert picture(False, None, "data:image/png;base64,AAAA", f"{site}b.png") == f"{site}b.png"


def test_relative_addresses_are_joined_to_the_stores_address() -> None:
    [relative] = described(
        product(permalink="/product/tee-k\u00e4nne/", images=[{"src": "//cdn.example/k.jpg"}]), store_url="https://tea.example"
    )
    assert relative.url == "https://tea.example/product/tee-k%C3%A4nne/"
    assert relative.image_url == "https://cdn.example/k.jpg"
    assert described(product(permalink="/product/kettle/"))[0].url == ""


@pytest.mark.parametrize("topic", [*FULL_TOPICS, "product.deleted"])
def test_it_is_skipped_as_catalog(topic: str) -> None:
    document = {"id": 52} if topic == "product.deleted" else product()
    [reading] = WOOCOMMERCE.readings(encode(document), Context(topic=topic, received_at=RECEIVED_AT))
    assert reading.identity is None
    assert [str(skip.reason) for skip in reading.skips] == ["catalog"]


def test_without_a_topic_a_product_is_not_an_order() -> None:
    [reading] = WOOCOMMERCE.readings(encode(product()), Context(received_at=RECEIVED_AT))
    assert [str(skip.reason) for skip in reading.skips] == ["not_an_order"]
