"""`demo`: the main job, start to finish."""

import sys
from pathlib import Path

import click

from adapter.cli.demo import run_demo
from adapter.cli.exit_status import explained

FIXTURES = Path(__file__).parents[3] / "fixtures"


@click.command("demo")
@explained
def command() -> None:
    """Show sample orders going from store to Drip.

    Starts the adapter on a fresh SQLite file with the sandbox in Drip's place, posts the fixtures over HTTP with real signatures, shows
    what happened to each, and stops. Needs no account and sends nothing to Drip.
    """
    sys.exit(run_demo(FIXTURES))
