"""Setup steps as parts of a page."""

import pytest

from adapter.stores.platforms import platforms
from adapter.web.dashboard.setup_steps import Part, ways

ADDRESS = "https://adapter.example/webhooks/shop"


@pytest.mark.parametrize("name", sorted(platforms()))
def test_nothing_of_the_steps_is_lost_and_the_address_can_be_copied(name: str) -> None:
    lines = list(platforms()[name].by_hand(ADDRESS, "the value of SECRET"))
    found = ways(lines)
    said = " ".join(
        text
        for way in found
        for text in (way.title, *way.before, *way.after, *(text for step in way.steps for text in (step.text, *_texts(step.parts))))
    )
    assert sorted({word.removesuffix(":") for word in said.split()}) == sorted({word for line in lines for word in _words(line)})
    literal = [part.text for way in found for step in way.steps for part in step.parts if part.is_literal]
    assert ADDRESS in literal or "drip-adapter connect" in said  # which registers the address


def _texts(parts: list[Part]) -> list[str]:
    return [f"{part.name} {part.text} {part.note}" for part in parts]


def test_commands_and_settings_can_be_copied() -> None:
    found = {part.text for name in ("bigcommerce", "magento") for part in _parts(name) if part.is_literal}
    assert {"drip-adapter connect bigcommerce", "drip-adapter reconcile", "BIGCOMMERCE_API_URL", "bin/magento setup:upgrade"} <= found


def _parts(name: str) -> list[Part]:
    return [part for way in ways(platforms()[name].by_hand(ADDRESS, "the secret")) for step in way.steps for part in step.parts]


def _words(line: str) -> list[str]:
    """The words without the numbers and letters before steps and titles."""
    words = [word.removesuffix(":") for word in line.split()]
    return words[1:] if words and words[0].removesuffix(".") in "123456789ABCDEF" and words[0].endswith(".") else words
