"""Magento 2 and Adobe Commerce: what its payloads say. The other packages see only `PROVIDER`."""

from mappings.magento.provider import PROVIDER

__all__ = ["PROVIDER"]
