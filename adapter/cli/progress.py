"""Progress of work that may take longer than two seconds: a bar on a terminal, and nothing anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from adapter.cli import output
from adapter.cli.exit_status import interruptible


@dataclass(frozen=True, slots=True)
class Bar:
    """A running bar."""

    _progress: Progress
    _task: TaskID

    def update(self, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show how far the work has got, and a note beside it."""
        self._progress.update(self._task, completed=completed, total=total)
        if note is not None:
            self._progress.update(self._task, note=note)

    def show(self, content: RenderableType) -> None:
        """Print more than a line above the bar."""
        self._progress.console.print(content)

    def echo(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, soft_wrap=True)


@contextmanager
def progress(what: str, total: float | None = None, *, if_interrupted: str, shown: bool = True) -> Iterator[Bar]:
    """Show a bar for what is being done until the block ends; without a `total`, only that it goes on and for how long.

    Ctrl-C ends it with a message that contains `if_interrupted`: what has been done by then, and how to do the rest.
    """
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    bar = Progress(*columns, console=output.console(), disable=not (shown and sys.stdout.isatty()), transient=True)
    with interruptible(if_interrupted), bar:
        yield Bar(bar, bar.add_task(what, total=total, note=""))
