"""Shopify: its orders and products. `provider` decides what is an order, `order` builds it, `totals` computes what it came to."""

from mappings.shopify.provider import PROVIDER

__all__ = ["PROVIDER"]
