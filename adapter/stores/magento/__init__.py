"""Magento 2 and Adobe Commerce: the store's own API. The rest of the adapter sees only `PLATFORM`."""

from adapter.stores.magento.platform import PLATFORM

__all__ = ["PLATFORM"]
