"""`demo`: the main job, start to finish."""

import sys

import click

from adapter.cli.exit_status import explained


@click.command("demo")
@click.option("--all", "all_fixtures", is_flag=True, help="Post every fixture of the project; needs a checkout, and takes a minute or two.")
@explained
def command(all_fixtures: bool) -> None:
    """Show sample orders going from store to Drip.

    Starts the adapter on a fresh SQLite file with the sandbox in Drip's place, posts a few webhooks of three platforms over HTTP with real
    signatures, shows what Drip got of each, and stops. Needs no account and no settings, and sends nothing to Drip.
    """
    if all_fixtures:
        from adapter.cli.demo.fixtures import show_all_fixtures  # noqa: PLC0415

        sys.exit(show_all_fixtures())
    from adapter.cli.demo.story import tell_story  # noqa: PLC0415

    sys.exit(tell_story())
