"""Tests of `adapter.process`."""
