"""WooCommerce: what its payloads say. The other packages see only `PROVIDER`."""

from mappings.woocommerce.order import PROVIDER

__all__ = ["PROVIDER"]
