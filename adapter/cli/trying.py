"""The commands that try out mappings and fixtures."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click
import requests

from adapter.cli import output
from adapter.cli.common import AS_JSON, explained, header, url
from adapter.process import replay as replays
from adapter.settings import DEFAULT_PORT, read_settings
from mappings import PROVIDERS, VOCABULARIES, Context, Options, encode, outcomes

_STORE_URL_FOR_TRIALS = "https://store.example"


@click.command("map")
@click.argument("provider", type=click.Choice(sorted(PROVIDERS)))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--topic", default="", help="What the store says happened, as in its topic header.")
@click.option("--header", "headers", multiple=True, type=header, metavar="NAME:VALUE", help="A header of the request; may be given again.")
@click.option("--store-url", default="", type=url, metavar="URL", help="The store's address.")
@click.option("--vocabulary", default="contract", show_default=True, type=click.Choice(list(VOCABULARIES)), help="Which of Drip's actions.")
@explained
def map_(
    provider: str,
    files: tuple[str, ...],
    topic: str,
    headers: tuple[tuple[str, str], ...],
    store_url: str,
    vocabulary: Literal["contract", "lifecycle"],
) -> None:
    """Shows what Drip would get for payloads; sends nothing.

    Prints one JSON line for each order in each file, taken as at first sight: Drip's body, {"skipped": reason} or
    {"rejected": {path: [why]}}. A file may hold a batch or a page of orders; - reads standard input. Exit status 1 if any was rejected.
    """
    platform = PROVIDERS[provider]
    if platform.needs_address and not store_url:
        click.echo(
            f"note: no payload of {platform.title} holds the store's address; without --store-url it is {_STORE_URL_FOR_TRIALS}", err=True
        )
    named = dict(headers)
    context = Context(
        topic=topic or platform.topic(named),
        headers=named,
        received_at=datetime.now(UTC),
        options=Options(
            store_url=store_url,
            fallback_url=_STORE_URL_FOR_TRIALS,
            public_url=f"http://127.0.0.1:{DEFAULT_PORT}",
            vocabulary=vocabulary,
        ),
    )
    rejected = False
    for file in files:
        payload = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        for outcome in outcomes(platform, payload, context):
            click.echo(encode(outcome))
            rejected = rejected or "rejected" in outcome
    sys.exit(1 if rejected else 0)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--to", "url", required=True, type=url, metavar="URL", help="The adapter's address, such as http://127.0.0.1:8000.")
@click.option("--store", default="", help="The store to post to; default: the platform's first.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="How many times each.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option("--shuffle", is_flag=True, help="In random order.")
@click.option("--fresh", is_flag=True, help="With new ids and times, so that none is a duplicate.")
@AS_JSON
@explained
def replay(
    paths: tuple[Path, ...], url: str, store: str, repeat: int, rate: float | None, shuffle: bool, fresh: bool, as_json: bool
) -> None:
    """Posts fixtures to a running adapter, signed as a store signs.

    PATHS are folders <provider>/<case> with headers.json and payload.json, or folders of such.
    """
    settings = read_settings(sandbox=False)
    posted = []
    plan = replays.schedule(replays.find_cases(paths), repeat=repeat, shuffle=shuffle, fresh=fresh)
    with requests.Session() as session:
        for (case, payload), _ in zip(plan, replays.pace(rate), strict=False):
            answer = replays.post(session, url, case, payload, replays.target_of(case, settings, store))
            posted.append(answer)
            output.posted(answer, as_json=as_json)
    refused = sum(answer.status >= 300 for answer in posted)
    if not as_json:
        click.echo(f"{len(posted)} posted, {len(posted) - refused} taken, {refused} refused")
    sys.exit(1 if refused else 0)


COMMANDS = (map_, replay)
