"""The overview: whether orders are reaching Drip, what is waiting, and what happened recently."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import render_template, request
from sqlalchemy import Connection

from adapter.inbox.charts import SPANS, Span, first_span
from adapter.inbox.figures import Quota
from adapter.operations.activity import read_activity
from adapter.operations.health import Health, document, read_health
from adapter.operations.order_list import list_orders
from adapter.operations.verdict import headline
from adapter.settings import Settings
from adapter.web.dashboard.chart import make_chart
from adapter.web.dashboard.layout import blueprint, now, read, settings, why_not_storing

_ORDERS = 6
_ROWS = 20
"""How many stores and accounts are shown, those with problems first."""
_FINDINGS = 10
"""How many findings are shown; the others are folded."""


@blueprint.get("/")
def show_overview() -> str:
    """The start page."""
    chosen, not_storing = SPANS.get(request.args.get("span", "")), why_not_storing()
    found = read(lambda connection: _look(connection, settings(), chosen, not_storing))
    return render_template("overview.html", spans=SPANS, **found)


def _look(connection: Connection, configured: Settings, chosen: Span | None, not_storing: str) -> dict[str, Any]:
    span = chosen or first_span(connection, now())
    health = read_health(connection, configured, now(), not_storing=not_storing)
    activity = read_activity(connection, configured, health.facts, span)
    report = document(connection, configured, health)
    any_received = any(store["deliveries"] for store in report["stores"].values())
    return {
        "report": report,
        "any_received": any_received,
        "headline": headline(
            health.status, [finding.code for finding in health.findings], any_received=any_received, sandbox=configured.sandbox
        ),
        "findings": [(finding, finding.page if finding.page != "/" else "") for finding in health.findings],
        "span": span,
        "activity": activity,
        "chart": make_chart(activity.counts, activity.starts, span),
        "last": {name: store.silence.last_at for name, store in health.facts.stores.items()},
        "problems": (problems := _problems(health)),
        "stores": _first(report["stores"], lambda name: bool(problems[name])),
        "accounts": _first(report["accounts"], lambda name: _has_problem(report["accounts"][name])),
        "quotas": _tightest(activity.quotas),
        "shown_findings": _FINDINGS,
        "orders": list_orders(connection, configured, _ORDERS)[0],
    }


def _first(found: Mapping[str, Any], is_wrong: Callable[[str], bool]) -> dict[str, Any]:
    names = sorted(found, key=lambda name: not is_wrong(name))[:_ROWS]
    return {name: found[name] for name in names}


def _has_problem(account: Mapping[str, Any]) -> bool:
    return bool(account["unproven"] or account["paused"] or account["outage"] or not account["sender"])


def _tightest(quotas: Mapping[str, Sequence[Quota]]) -> list[tuple[str, Quota]]:
    """For each kind of request the account that has least of it left, with that."""
    found: dict[str, tuple[str, Quota]] = {}
    for account, kinds in quotas.items():
        for quota in kinds:
            if quota.kind not in found or quota.left < found[quota.kind][1].left:
                found[quota.kind] = account, quota
    return list(found.values())


def _problems(health: Health) -> dict[str, list[str]]:
    """Store -> the codes of what is wrong with it."""
    return {name: [finding.code for finding in health.findings if finding.store == name] for name in health.facts.stores}
