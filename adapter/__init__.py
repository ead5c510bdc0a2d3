"""What we do about orders: receive, keep, pace, send. All I/O of the project lives here; what stores say lives in `mappings`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("drip-order-adapter")
except PackageNotFoundError:  # run from a plain checkout, as on a platform that installs requirements.txt only
    __version__ = "0.1.0"
