"""Tests of `adapter.settings`."""
