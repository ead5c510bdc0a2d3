"""What a payload means: pure functions from a store's payload to an `Order`, and from an `Order` to Drip's body.

`core/` is what platforms share; every other folder is one platform with one `PROVIDER`. Nothing in this package does I/O, reads a clock or
the environment, or imports from `adapter`.
"""

import pkgutil
from importlib import import_module

from mappings.core.addresses import addresses_in, one_form, texts_in, written_forms
from mappings.core.compliance import Compliance
from mappings.core.consent import CONSENTS, SEND
from mappings.core.contract import ACTIONS, DRIP_ORDER_NAMES, VOCABULARIES, OrderActivity
from mappings.core.errors import Rejected, dotted
from mappings.core.json import encode, parse, printed
from mappings.core.lifecycle import LifecycleEvent, LifecycleState, as_sent, lifecycle_of, unsent_events
from mappings.core.limits import DEEPEST, Limits
from mappings.core.options import Options
from mappings.core.order import Item, Order
from mappings.core.outcome import outcomes
from mappings.core.product import Product, ProductKey, complete, wanted
from mappings.core.provider import Key, Provider
from mappings.core.reachability import is_reachable
from mappings.core.reading import HOLDS, LOSES_ORDERS, ONLY_ID, Context, Identity, Reading, Reason, Skip
from mappings.core.rendering import digest, render, timestamp
from mappings.core.signature import Credentials, KeyAway, Scheme, Verdict
from mappings.core.text import absolute_url, first_email, lookup
from mappings.magento.adobe_signature import is_public_key

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        import_module(f"mappings.{module.name}").PROVIDER for module in pkgutil.iter_modules(__path__) if module.name != "core"
    )
}

__all__ = [
    "ACTIONS",
    "CONSENTS",
    "DEEPEST",
    "DRIP_ORDER_NAMES",
    "HOLDS",
    "LOSES_ORDERS",
    "ONLY_ID",
    "PROVIDERS",
    "SEND",
    "VOCABULARIES",
    "Compliance",
    "Context",
    "Credentials",
    "Identity",
    "Item",
    "Key",
    "KeyAway",
    "LifecycleEvent",
    "LifecycleState",
    "Limits",
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
    "Verdict",
    "absolute_url",
    "addresses_in",
    "as_sent",
    "complete",
    "digest",
    "dotted",
    "encode",
    "first_email",
    "is_public_key",
    "is_reachable",
    "lifecycle_of",
    "lookup",
    "one_form",
    "outcomes",
    "parse",
    "printed",
    "render",
    "texts_in",
    "timestamp",
    "unsent_events",
    "wanted",
    "written_forms",
]
