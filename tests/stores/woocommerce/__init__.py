"""Tests of `adapter.stores.woocommerce` against the server in `tests/stand_ins/woocommerce.py`."""
