"""Tests of `adapter.catalog`."""
