"""Tests of `adapter.cli`. Output is compared as printed."""
