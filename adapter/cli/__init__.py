"""The commands, one module per group. They parse options, call other packages and print; decisions are made there.

Exit status: 0 success, 1 failure, 2 wrong usage or settings.
"""

import click

from adapter import __version__
from adapter.cli import deliveries, erasing, operating, orders, running, stores, trying


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="drip-adapter")
def main() -> None:
    """Turns order webhooks of Shopify, Magento and WooCommerce into Drip Order Activity, and loses none."""


for module in (running, trying, deliveries, orders, stores, operating, erasing):
    for command in module.COMMANDS:
        main.add_command(command)
