"""Tests of `adapter.operations`."""
