"""Everything the adapter does: receiving, storing, pacing, sending. All I/O is here; what a payload means is decided in `mappings`."""

__version__ = "1.0.0"
