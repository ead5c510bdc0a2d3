"""BigCommerce's products: which of several pictures is the product's."""

from typing import Any

import pytest

from mappings.bigcommerce.products import products_of


def image(name: str, **more: Any) -> dict[str, Any]:
    return {"url_standard": f"https://cdn.example/{name}.jpg", **more}


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        ([image("side"), image("front", is_thumbnail=True)], "https://cdn.example/front.jpg"),
        ([image("side"), image("back", is_thumbnail=False)], "https://cdn.example/side.jpg"),
        ([image("side") | {"url_standard": ""}, image("back")], "https://cdn.example/back.jpg"),
        ([], ""),
    ],
    ids=["the thumbnail", "without one the first", "the first with an address", "none"],
)
def test_the_thumbnail_is_the_products_picture(images: list[dict[str, Any]], chosen: str) -> None:
    [product] = products_of({"id": 7, "images": images, "variants": [{"id": 8, "image_url": ""}]}, "https://shop.example", {})
    assert product.image_url == chosen
