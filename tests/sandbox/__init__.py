"""Tests of `adapter.sandbox`."""
