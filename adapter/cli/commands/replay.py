"""`replay`: sample webhooks, signed and posted as a store would."""

import sys
from math import inf
from pathlib import Path

import click
import requests

from adapter.cli import output
from adapter.cli.exit_status import explained
from adapter.cli.parameters import AS_JSON, WholeNumber, url
from adapter.cli.progress import Bar, progress
from adapter.cli.text import echo
from adapter.process import replay
from adapter.process.replay import Posted
from adapter.settings import read_settings

_POSTED = "the adapter has what was posted so far; run the command again to post all of it"


def _per_second(value: str) -> float:
    try:
        if 0 < (rate := float(value)) < inf:
            return rate
    except ValueError:
        pass
    raise click.BadParameter(f"{value!r} isn't a number above 0")


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--to", "url", required=True, type=url, metavar="URL", help="The adapter's address, such as http://127.0.0.1:8000.")
@click.option("--store", default="", metavar="NAME", help="The store to post to; default: the first one of the platform.")
@click.option("--repeat", default=1, show_default=True, type=WholeNumber(1), metavar="N", help="How many times to post each.")
@click.option("--rate", type=_per_second, metavar="N", help="Post at most this many per second.")
@click.option("--shuffle", is_flag=True, help="Post in random order.")
@click.option("--fresh", is_flag=True, help="Give each order a new id and new times, so that none is a duplicate.")
@AS_JSON
@explained
def command(
    paths: tuple[Path, ...], url: str, store: str, repeat: int, rate: float | None, shuffle: bool, fresh: bool, as_json: bool
) -> None:
    """Post sample webhooks to a running adapter.

    They are signed as the store would sign them. PATHS are folders PROVIDER/CASE with headers.json and payload.json, or folders that
    contain such.
    """
    settings = read_settings(sandbox=False)
    posted = []
    cases = replay.find_cases(paths)
    plan = replay.schedule(cases, repeat=repeat, shuffle=shuffle, fresh=fresh)
    with requests.Session() as session, progress("posting", len(cases) * repeat, if_interrupted=_POSTED, shown=not as_json) as bar:
        for (case, payload), _ in zip(plan, replay.pace(rate), strict=False):
            answer = replay.post(session, url, case, payload, replay.target_of(case, settings, store))
            posted.append(answer)
            bar.update(len(posted))
            _print_answer(answer, bar, as_json=as_json)
    refused = sum(answer.status >= 300 for answer in posted)
    if not as_json:
        echo(f"{len(posted)} posted, {len(posted) - refused} accepted, {refused} refused")
    sys.exit(1 if refused else 0)


def _print_answer(answer: Posted, bar: Bar, *, as_json: bool) -> None:
    case = f"{answer.case.folder.parent.name}/{answer.case.folder.name}"
    if as_json:
        output.document({"case": case, "status": answer.status, "answer": answer.answer})
    else:
        bar.echo(f"{answer.status} {case} {answer.answer}")
