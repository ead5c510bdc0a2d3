"""The report of a run: one Markdown file with a table and, where a curve says more, a plot for each part."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from adapter import __version__
from tests.benchmarks.results import Row, table

mpl.use("Agg")
FOLDER = Path("build/bench")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A curve for each value of `by`; `log` for axes on which each step is ten times the one before."""

    x: str
    y: str
    by: tuple[str, ...]
    log: bool = False
    only: Callable[[Row], bool] = lambda _: True


PLOTS: Mapping[str, Plot] = {
    "acknowledge": Plot(x="connections", y="ratio", by=("contender", "database"), only=lambda row: row["bytes"] == 4000),
    "mapping": Plot(x="items", y="ratio", by=("platform",)),
    "idle": Plot(x="accounts", y="threads", by=("database",), log=True),
    "growth": Plot(x="deliveries", y="ms", by=("work", "database"), log=True),
}


def write(parts: Mapping[str, tuple[str, Sequence[Row]]], skipped: Sequence[str] = (), folder: Path = FOLDER) -> Path:
    """Write report.md, the plots, and every figure as JSON; `parts` are titles and rows by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps({name: rows for name, (_, rows) in parts.items()}, indent=1))
    sections = [f"# Benchmarks\n\n{_about()}\n", *(f"- {why}\n" for why in skipped)]
    for name, (title, rows) in parts.items():
        sections.append(f"\n## {title}\n\n{table(rows)}")
        if rows and (plot := PLOTS.get(name)):
            _draw(plot, title, rows, folder / f"{name}.png")
            sections.append(f"\n![{title}]({name}.png)\n")
    report = folder / "report.md"
    report.write_text("".join(sections))
    return report


def _about() -> str:
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0.0)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{now}. Version {__version__}, Python {platform.python_version()}; {os.cpu_count()} cores of {model}, {memory:.0f} GB of memory."
    )


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def _draw(plot: Plot, title: str, rows: Sequence[Row], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.get(plot.y) is not None and plot.only(row):
            curves.setdefault(", ".join(str(row[name]) for name in plot.by), []).append((row[plot.x], row[plot.y]))
    for label, points in curves.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
    if plot.log:
        axes.set_xscale("log")
    axes.set(title=title, xlabel=plot.x, ylabel=plot.y, ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file, dpi=120)
    plt.close(figure)
