"""A payload's outcome at first sight: what the command `map` prints and what the golden fixtures hold."""

from typing import Any

from mappings._contract import VOCABULARIES, render
from mappings._errors import Rejected
from mappings._options import Options
from mappings._provider import Context, Provider, Reading


def outcomes(provider: Provider, payload: bytes, context: Context) -> list[dict[str, Any]]:
    """For each order in the payload Drip's body, `{"skipped": reason}`, or `{"rejected": {path: [why]}}`."""
    try:
        readings = provider.readings(payload, context)
    except Rejected as rejected:
        return [{"rejected": rejected.problems}]
    return [_outcome(provider, reading, context) for reading in readings]


def first_action(options: Options) -> str:
    """What is told first of an order."""
    return VOCABULARIES[options.vocabulary][0]


def _outcome(provider: Provider, reading: Reading, context: Context) -> dict[str, Any]:
    if skip := reading.skip(placed=reading.placed):
        return {"skipped": str(skip.reason)}
    try:
        order = provider.map(reading, context)
        return render(order, action=first_action(context.options), occurred_at=order.created_at, options=context.options)
    except Rejected as rejected:
        return {"rejected": rejected.problems}
