"""Magento's REST and GraphQL APIs: products, past orders, webhook subscriptions. Outside this folder only `PLATFORM` is used.

Magento's payloads are mapped in `mappings.magento`.
"""

from adapter.stores.magento.platform import PLATFORM

__all__ = ["PLATFORM"]
