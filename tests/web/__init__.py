"""Tests of `adapter.web`. What needs a browser is in `tests/browser`."""
