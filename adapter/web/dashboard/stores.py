"""The pages of the stores: the webhook address, setup steps, and whether webhooks are arriving."""

from typing import Any

from flask import Response, abort, jsonify, render_template, request
from sqlalchemy import Connection

from adapter.inbox import figures, views
from adapter.inbox.public_address import with_learned_address
from adapter.operations.silence import read_silences, store_silence
from adapter.settings import SANDBOX_ACCOUNT, Settings, Store
from adapter.stores.platforms import platforms
from adapter.stores.registration import address_of
from adapter.web.dashboard.layout import blueprint, now, read, settings
from adapter.web.dashboard.setup_steps import ways
from mappings import PROVIDERS, Provider


@blueprint.get("/stores")
def list_stores() -> str:
    """All stores, and when each last sent a webhook."""
    names = list(settings().stores)
    found = read(lambda connection: read_silences(connection, names))
    return render_template("stores.html", stores=settings().stores, silences=found, missing=_missing())


@blueprint.get("/stores/<name>")
def show_store(name: str) -> str:
    """One store and how to connect it."""
    store = settings().store(name)
    found = read(lambda connection: _look(connection, name))
    if store is None and found["newest"] is None:
        abort(404, "There is no store with this name.")
    equipped = found.pop("settings")
    return render_template(
        "store.html",
        name=name,
        store=store,
        setting=_setting(store) if store else "",
        has_sandbox_secret=store is not None and store.credentials.secrets == (SANDBOX_ACCOUNT,),
        address=address_of(name, equipped),
        is_learned=equipped.public_url != settings().public_url,
        ways=ways(_steps(store, equipped)) if store else [],
        is_silent=found["silence"].is_unusual(now()),
        **found,
    )


@blueprint.get("/stores/<name>/arrivals.json")
def arrivals(name: str) -> Response:
    """Whether anything has been received or refused since a page was rendered."""
    found = read(lambda connection: _look(connection, name))
    newest = found["newest"].id if found["newest"] else 0
    changed = str(newest) != request.args.get("since", "0") or str(_refused(found)) != request.args.get("refused", "0")
    return jsonify(received=bool(newest), delivery=newest or None, changed=changed)


def _look(connection: Connection, name: str) -> dict[str, Any]:
    return {
        "settings": with_learned_address(connection, settings()),
        "newest": views.newest_of(connection, name),
        "silence": store_silence(connection, name),
        "refusals": [row for row in figures.all_refusals(connection) if row.store == name],
    }


def _refused(found: dict[str, Any]) -> int:
    return sum(row.times for row in found["refusals"])


def _setting(store: Store) -> str:
    """The name of the setting with the store's secret, without what is noted about it."""
    return store.secret_setting.partition(" ")[0] or "the secret in the settings"


def _steps(store: Store, equipped: Settings) -> list[str]:
    """The setup steps, without the secret itself."""
    platform = platforms().get(store.provider.name)
    if platform is None:
        return []
    shown = f"the value of {_setting(store)}"
    return list(platform.by_hand(address_of(store.name, equipped), shown))


def _missing() -> list[Provider]:
    used = {store.provider.name for store in settings().stores.values()}
    return [provider for provider in PROVIDERS.values() if provider.name not in used]
