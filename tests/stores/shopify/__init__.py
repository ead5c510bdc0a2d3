"""Tests of `adapter.stores.shopify` against the server in `tests/stand_ins/shopify.py`."""
