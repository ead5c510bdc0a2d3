"""The tree of commands, every one imported."""

from collections.abc import Iterator

import click

from adapter.cli import main


def command_tree(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path, hidden ones included: `()` is `drip-adapter` itself."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in [*command.list_commands(context), *getattr(command, "hidden_commands", ())]:
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from command_tree(inner, (*path, name))


COMMANDS = dict(command_tree())
