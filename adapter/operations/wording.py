"""Numbers with their nouns, for messages."""


def counted(number: int, one: str = "delivery", many: str = "deliveries") -> str:
    """A number with its noun: `1 delivery`, `2,000 deliveries`."""
    return f"{number:,} {one if number == 1 else many}"
