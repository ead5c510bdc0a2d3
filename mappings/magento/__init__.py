"""Magento's payloads: `provider` says which are orders, `order` and `items` map them, `totals` computes the amounts.

Requests to Magento's API are in `adapter.stores.magento`.
"""

from mappings.magento.provider import PROVIDER

__all__ = ["PROVIDER"]
