"""Tests of `adapter.monitoring`."""
