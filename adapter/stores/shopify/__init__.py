"""Shopify's Admin and Storefront APIs: products, past orders, webhooks. Outside this folder only `PLATFORM` is used.

How Shopify's payloads are read is in `mappings.shopify`.
"""

from adapter.stores.shopify.platform import PLATFORM

__all__ = ["PLATFORM"]
