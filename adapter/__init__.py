"""Everything the adapter does: receiving, storing, pacing, sending. All I/O is here; what a payload means is decided in `mappings`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("drip-order-adapter")
except PackageNotFoundError:  # run from a plain checkout, as on a platform that installs requirements.txt only
    __version__ = "0.1.0"
