"""Tests of `mappings.woocommerce` beyond its golden cases in `fixtures/woocommerce`."""
