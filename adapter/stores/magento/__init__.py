"""Magento's REST and GraphQL APIs: products, past orders, webhook subscriptions. Outside this folder only `PLATFORM` is used.

How Magento's payloads are read is in `mappings.magento`.
"""

from adapter.stores.magento.platform import PLATFORM

__all__ = ["PLATFORM"]
