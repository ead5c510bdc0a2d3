"""Shopify: what its payloads say. The other packages see only `PROVIDER`."""

from mappings.shopify.order import PROVIDER

__all__ = ["PROVIDER"]
