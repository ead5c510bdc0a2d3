"""The dashboard in a real browser, against a running adapter. Whatever can be tested without a browser is in `tests/web`."""
