"""WooCommerce's payloads: `provider` says which are orders, `order` and `items` map them, `totals` computes the amounts.

Requests to WooCommerce's API are in `adapter.stores.woocommerce`.
"""

from mappings.woocommerce.provider import PROVIDER

__all__ = ["PROVIDER"]
