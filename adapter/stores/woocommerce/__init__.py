"""WooCommerce: the store's own API. The rest of the adapter sees only `PLATFORM`."""

from adapter.stores.woocommerce.platform import PLATFORM

__all__ = ["PLATFORM"]
