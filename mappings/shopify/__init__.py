"""Shopify's payloads: `provider` says which are orders, `order` and `items` map them, `totals` computes the amounts.

Requests to Shopify's API are in `adapter.stores.shopify`.
"""

from mappings.shopify.provider import PROVIDER

__all__ = ["PROVIDER"]
