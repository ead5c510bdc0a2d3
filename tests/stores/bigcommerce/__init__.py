"""Tests of `adapter.stores.bigcommerce` against a server that behaves as its documentation says."""
