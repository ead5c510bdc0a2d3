"""WooCommerce: what its payloads say. The other packages see only `PROVIDER`."""

from mappings.woocommerce.provider import PROVIDER

__all__ = ["PROVIDER"]
