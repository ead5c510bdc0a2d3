"""BigCommerce's own API: orders, which its webhooks don't contain, products and webhooks.

How orders are mapped is in `mappings.bigcommerce`.
"""

from adapter.stores.bigcommerce.platform import PLATFORM

__all__ = ["PLATFORM"]
