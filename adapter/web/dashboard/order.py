"""The page of one order: its whole history, and what Drip has now."""

from flask import abort, render_template

from adapter.operations.order_history import history
from adapter.web.dashboard import json_tree
from adapter.web.dashboard.layout import blueprint, read, settings
from mappings import parse


@blueprint.get("/orders/<store>/<path:order_id>")
def show_order(store: str, order_id: str) -> str:
    """The page of an order."""
    found = read(lambda connection: history(connection, settings(), store, order_id))
    if not found["deliveries"] and not found["at_drip"]:
        abort(404, "No deliveries of this order are stored, and it was never sent to Drip.")
    body = found.pop("body")
    lines = json_tree.lines(parse(body.body), "d", shown=False) if body is not None else []
    return render_template("order.html", store=store, order_id=order_id, body=lines, **found)
