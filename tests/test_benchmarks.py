"""A small run of the benchmarks makes a report with figures and plots."""

import json
from pathlib import Path

from tests.benchmarks import acknowledge, growth, mapping, report
from tests.benchmarks.results import spread, table


def test_a_small_run_makes_a_report(tmp_path: Path) -> None:
    mapped = mapping.measure(rounds=1, items=(1, 5))
    grown = growth.measure({"SQLite": f"sqlite:///{tmp_path / 'adapter.db'}"}, most=1000)
    parts = {"mapping": ("Mapping", mapped), "growth": ("Growth", grown), "drain": ("A backlog", [])}

    file = report.write(parts, ["Celery is left out"], tmp_path / "bench")

    text = file.read_text()
    assert "- Celery is left out\n" in text
    assert "## Mapping\n\n| platform | items | bytes | map_us | ratio | lowest | highest |\n" in text
    assert "| SQLite | 1,000 | claim | " in text
    assert "## A backlog\n\nNothing was measured.\n" in text
    assert [name for name in ("mapping.png", "growth.png") if (tmp_path / "bench" / name).read_bytes().startswith(b"\x89PNG")]
    assert json.loads((tmp_path / "bench" / "figures.json").read_text()) == {name: rows for name, (_, rows) in parts.items()}
    assert {row["platform"] for row in mapped} == {"Shopify", "Magento", "WooCommerce", "BigCommerce"}
    assert all(row["ratio"] > 0 for row in mapped)


def test_figures_are_medians_with_their_spread() -> None:
    assert spread([0.5, 0.2, 0.4]) == {"ratio": 0.4, "lowest": 0.2, "highest": 0.5}
    assert table([{"connections": 1024, "ratio": None}]) == "| connections | ratio |\n| --- | --- |\n| 1,024 | - |\n"


def test_what_wrk_prints_is_read() -> None:
    printed = "    50%    1.70ms\n    99%  250.00us\n  8132 requests in 2.00s, 1.2MB read\nRequests/sec:   4066.10\n"
    assert acknowledge.measured_by_wrk(printed, cpu_s=4.066) == acknowledge.Measured(rate=4066.1, p50_ms=1.7, p99_ms=0.25, cpu_ms=0.5)
