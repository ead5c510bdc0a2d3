"""BigCommerce's payloads: `provider` says which are orders, `order` and `items` map them, `totals` computes the amounts.

Its webhooks contain only an order's ID. `adapter.stores.bigcommerce` reads the order, in the form that `payload` describes.
"""

from mappings.bigcommerce.provider import PROVIDER

__all__ = ["PROVIDER"]
