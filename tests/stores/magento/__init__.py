"""Tests of `adapter.stores.magento` against the server in `tests/stand_ins/magento.py`."""
