"""WooCommerce's REST and Store APIs: products, past orders, webhooks. Outside this folder only `PLATFORM` is used.

How WooCommerce's payloads are read is in `mappings.woocommerce`.
"""

from adapter.stores.woocommerce.platform import PLATFORM

__all__ = ["PLATFORM"]
