"""What all platforms share: the canonical order, Drip's contract, and how payloads are read. Nothing here names a platform."""
