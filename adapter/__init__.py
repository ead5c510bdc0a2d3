"""Everything the adapter does: receiving, storing, pacing, sending. All I/O is here; what a payload means is decided in `mappings`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """`__version__`, looked up when it is first asked for: reading a package's metadata takes longer than starting Python."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            found = version("drip-order-adapter")
        except PackageNotFoundError:  # run from a plain checkout, as on a platform that installs requirements.txt only
            found = "0.1.0"
        return globals().setdefault(name, found)
