"""E-mail addresses are found wherever they stand, in a time that grows with the length."""

from time import thread_time

import pytest

from mappings import addresses_in

ADDRESS = "ada.lovelace+tea@shop.example"


@pytest.mark.parametrize(
    "document",
    [
        ADDRESS,
        ADDRESS.upper(),
        {"a": [{"b": f"write to <{ADDRESS}>, or call"}]},
        {ADDRESS: 1},
        f"https://shop.example/?email={ADDRESS}&x=1",
        f"https://shop.example/?email={ADDRESS.replace('@', '%40')}",
        f"mailto:{ADDRESS}.",
        f'"Ada"<{ADDRESS}>;bob@shop.example',
        f"a@b@c {ADDRESS}",
    ],
)
def test_an_address_is_found(document: object) -> None:
    assert ADDRESS in addresses_in(document)


@pytest.mark.parametrize("document", ["", "@", "a@", "@b", {"a": None, "b": [1, True]}, f"x{ADDRESS}", f"{ADDRESS}.uk"])
def test_what_is_another_address_or_none_is_not(document: object) -> None:
    assert ADDRESS not in addresses_in(document)


@pytest.mark.parametrize("piece", ["a", "@", "a@", "=@", "a=b@c.d=", "%40", ".@.", "\u00e9@"])
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    def takes(length: int) -> float:
        text = (piece * length)[:length]
        begun = thread_time()
        addresses_in([text])
        return thread_time() - begun

    short, long = (min(takes(length) for _ in range(3)) for length in (20_000, 200_000))
    assert long < 20 * short + 0.1
