"""A group of commands that imports a command only when it is called, after "Lazily Loading Subcommands" in Click's documentation."""

import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

import click
from click.shell_completion import CompletionItem

from adapter.cli.exit_status import INTERRUPTED
from adapter.cli.text import echo
from adapter.printable import printable


class LazyGroup(click.Group):
    """Command NAME is `command` in the module NAME of `package`; `sections` give what `--help` prints, so that it imports none of them."""

    def __init__(
        self, *args: Any, package: str, sections: Mapping[str, Mapping[str, str]], hidden: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.sections = sections
        self.hidden_commands = hidden

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, as `--help` orders them."""
        return [name for commands in self.sections.values() for name in commands]

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        """Read the command line; what an error quotes of it can't control the terminal."""
        if wrong := next((each for each in args if not _is_text(each) and not os.path.exists(each)), ""):
            raise click.UsageError(f"{printable(repr(wrong))} isn't UTF-8 text")
        with _printable_errors():
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, with errors like that. Ctrl-C ends it as shells expect, without a traceback."""
        try:
            with _printable_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            echo("\ninterrupted", err=True)
            ctx.exit(INTERRUPTED)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; an unknown one is refused with the one that was probably meant."""
        name = args[0]
        if not name.startswith("-") and name not in (*self.list_commands(ctx), *self.hidden_commands):
            meant = get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {meant[0]!r}?" if meant else ""))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in (*self.list_commands(ctx), *self.hidden_commands):
            return None
        command: click.Command = _imported(f"{self.package}.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, without importing any command; and options."""
        summaries = (each for commands in self.sections.values() for each in commands.items())
        found = [CompletionItem(name, help=summary) for name, summary in summaries if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands in their sections."""
        widest = max(len(name) for name in self.list_commands(ctx))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), summary) for name, summary in commands.items()])


def _is_text(argument: str) -> bool:
    """Whether an argument was UTF-8: Python makes surrogates of other bytes, which no database takes."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


def _imported(name: str) -> ModuleType:
    """A module. What is imported with it stays, so the garbage collector leaves it alone: looking it through took a fifth of `status`."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        vars(error).update(message=printable(error.message))
        raise
