"""`map`: what Drip would get, from a payload alone. No settings, no database, no network."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from adapter.cli.exit_status import explained
from adapter.cli.parameters import url
from adapter.cli.text import echo
from adapter.errors import WorkFailed
from adapter.process.isolation import CallFailed, call_forked
from mappings import PROVIDERS, VOCABULARIES, Context, Options, encode, outcomes, printed

_STORE_URL = "https://store.example"
_PUBLIC_URL = "https://adapter.example"
_TIMEOUT_S = 10.0


def header(value: str) -> tuple[str, str]:
    """A header of a request."""
    name, colon, rest = value.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{value!r} isn't NAME:VALUE")
    return name.strip().lower(), rest.strip()


@click.command("map")
@click.argument("provider", metavar="PROVIDER", type=click.Choice(sorted(PROVIDERS)))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--topic", default="", metavar="TOPIC", help="The event, as in the store's topic header.")
@click.option("--header", "headers", multiple=True, type=header, metavar="NAME:VALUE", help="A request header; may be given repeatedly.")
@click.option("--store-url", default="", type=url, metavar="URL", help="The store's address.")
@click.option(
    "--vocabulary",
    default="contract",
    show_default=True,
    type=click.Choice(list(VOCABULARIES)),
    help="Drip's actions: created and updated, or placed, paid, refunded and so on.",
)
@explained
def command(
    provider: str,
    files: tuple[str, ...],
    topic: str,
    headers: tuple[tuple[str, str], ...],
    store_url: str,
    vocabulary: Literal["contract", "lifecycle"],
) -> None:
    """Print what Drip would get for an order; send nothing.

    PROVIDER is the platform: bigcommerce, magento, shopify or woocommerce. Prints one JSON line for each order in each file, or several
    on a terminal, as if it were seen for the first time: the body for Drip, {"skipped": reason} or {"rejected": {path: [why]}}. A file
    may hold a batch or a page of orders; - reads standard input. Exits with 1 if any order was rejected.
    """
    platform = PROVIDERS[provider]
    if platform.needs_address and not store_url:
        echo(f"note: {platform.title} payloads don't contain the store's address; using {_STORE_URL}, set --store-url", err=True)
    named = dict(headers)
    context = Context(
        topic=topic or platform.topic(named),
        headers=named,
        received_at=datetime.now(UTC),
        options=Options(store_url=store_url, fallback_url=_STORE_URL, public_url=_PUBLIC_URL, vocabulary=vocabulary),
    )
    rejected = False
    for file in files:
        payload = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        for outcome in _map(file, provider, payload, context):
            echo(printed(outcome) if sys.stdout.isatty() else encode(outcome))
            rejected = rejected or "rejected" in outcome
    sys.exit(1 if rejected else 0)


def _map(file: str, provider: str, payload: bytes, context: Context) -> list[dict[str, Any]]:
    """The same, by a process of its own: a payload may hang or end it."""
    try:
        return call_forked(_TIMEOUT_S, outcomes, PROVIDERS[provider], payload, context)
    except CallFailed as failed:
        raise WorkFailed(f"{file}: mapping it {failed}") from None
