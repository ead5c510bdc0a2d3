"""Tests of `mappings.bigcommerce` beyond its golden cases in `fixtures/bigcommerce`."""
