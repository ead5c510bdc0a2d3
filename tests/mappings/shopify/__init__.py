"""Tests of `mappings.shopify` beyond its golden cases in `fixtures/shopify`."""
