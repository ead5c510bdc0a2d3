"""Tests of `mappings.magento` beyond its golden cases in `fixtures/magento`."""
