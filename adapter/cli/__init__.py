"""The command line: reads options, calls other packages, prints. Decisions are made there. `commands/` holds one module per command.

Exit status: 0 success, 1 failure, 2 wrong usage or settings.
"""

import click

from adapter.cli.lazy import LazyGroup

_SECTIONS = {
    "Try it": {
        "demo": "Show sample orders going from store to Drip.",
        "map": "Print what Drip would get for an order; send nothing.",
        "replay": "Post sample webhooks to a running adapter.",
        "sandbox": "Run the sandbox alone: it answers as Drip would.",
    },
    "Run it": {
        "serve": "Run the whole adapter: web and sender.",
        "send": "Run a sender alone; any number may run.",
        "migrate": "Bring the database schema up to date.",
    },
    "Stores": {
        "connect": "Register the webhooks at a store.",
        "backfill": "Send a store's past orders to Drip.",
        "reconcile": "Send orders whose webhook never arrived.",
    },
    "Operate": {
        "status": "Show whether orders are reaching Drip.",
        "check": "Check the setup and say how to fix it.",
        "deliveries": "List, follow, show and retry what was received.",
        "orders": "List orders, and show the history of one.",
        "export": "Write what was received to files.",
        "resume": "Try a paused or throttled Drip account now.",
        "audit": "Show what people changed.",
        "unlock": "Let everyone try to log in again at once.",
    },
    "Personal data": {
        "forget": "Erase what is stored about a shopper.",
        "purge": "Erase what is past its retention period.",
        "encrypt": "Encrypt what is stored with the first of PAYLOAD_KEYS.",
    },
}


def _print_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from adapter import __version__  # noqa: PLC0415 - looked up when it is asked for

        click.echo(f"drip-adapter, version {__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    package="adapter.cli.commands",
    sections=_SECTIONS,
    hidden=("web",),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version and exit.")
def main() -> None:
    """Receive order webhooks from Shopify, WooCommerce, Magento and BigCommerce, and send each order to Drip."""
