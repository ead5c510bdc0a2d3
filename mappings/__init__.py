"""What stores say: pure mappings from a store's payload to one `Order`, and from an `Order` to Drip's body.

Every module here without a leading underscore is a provider and holds one `PROVIDER`. Nothing in this package does I/O, reads a
clock or the environment, or imports from `adapter`.
"""

import pkgutil
from importlib import import_module

from mappings._adobe import is_public_key
from mappings._compliance import Compliance
from mappings._contract import ACTIONS, DRIP_ORDER_NAMES, VOCABULARIES, OrderActivity, digest, render, timestamp
from mappings._errors import Rejected, dotted
from mappings._json import encode, parse
from mappings._lifecycle import Step, Told, course_of, steps
from mappings._options import Options
from mappings._order import Item, Order
from mappings._outcome import outcomes
from mappings._product import Product, ProductKey, complete, wanted
from mappings._provider import HOLDS, Context, Identity, Key, Provider, Reading, Reason, Skip
from mappings._signature import Credentials, KeyAway, Scheme, Verdict
from mappings._text import absolute_url, first_email, lookup

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        import_module(f"mappings.{module.name}").PROVIDER for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )
}

__all__ = [
    "ACTIONS",
    "DRIP_ORDER_NAMES",
    "HOLDS",
    "PROVIDERS",
    "VOCABULARIES",
    "Compliance",
    "Context",
    "Credentials",
    "Identity",
    "Item",
    "Key",
    "KeyAway",
    "Options",
    "Order",
    "OrderActivity",
    "Product",
    "ProductKey",
    "Provider",
    "Reading",
    "Reason",
    "Rejected",
    "Scheme",
    "Skip",
    "Step",
    "Told",
    "Verdict",
    "absolute_url",
    "complete",
    "course_of",
    "digest",
    "dotted",
    "encode",
    "first_email",
    "is_public_key",
    "lookup",
    "outcomes",
    "parse",
    "render",
    "steps",
    "timestamp",
    "wanted",
]
