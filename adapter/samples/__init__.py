"""Sample webhooks, one folder each, as in `fixtures/`: what the demo posts. Data only.

They travel in the package, so that the demo works from an installed wheel. What the adapter must make of every kind of webhook is in
`fixtures/`, which does not.
"""

STORY = (
    "shopify/lantern-product",
    "shopify/lantern-placed",
    "woocommerce/guest-placed",
    "woocommerce/not-paid-yet",
    "magento/jacket-placed",
    "shopify/test-notification",
    "shopify/price-unreadable",
    "shopify/lantern-edited",
    "woocommerce/guest-cancelled",
    "magento/jacket-returned",
    "shopify/lantern-refunded",
    "shopify/lantern-late",
)
"""All samples, in the order in which the stores send them."""
