"""What `check` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `ok` is None for something worth knowing that isn't a problem."""

    what: str
    ok: bool | None
    say: str
    code: str = ""
    """The code of the verdict's finding that it is about; blank if it is no finding of the verdict."""
