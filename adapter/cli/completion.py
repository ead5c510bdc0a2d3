"""Values that a shell completes: names from the settings. No database is opened, and wrong settings complete nothing."""

from collections.abc import Iterable, Mapping

import click

from adapter.errors import SettingsError

# What reads the settings is imported only when it is asked for: some of those who offer completion need no settings.


def stores(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The configured stores."""
    return _matching(_configured()["stores"], incomplete)


def stores_and_platforms(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The configured stores, and the platforms that a store can be connected for."""
    from mappings import PROVIDERS  # noqa: PLC0415

    return _matching({*_configured()["stores"], *PROVIDERS}, incomplete)


def accounts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The configured Drip accounts."""
    return _matching(_configured()["accounts"], incomplete)


def _configured() -> Mapping[str, Iterable[str]]:
    from adapter.settings import read_settings  # noqa: PLC0415

    try:
        settings = read_settings(maybe_sandbox=True)
    except SettingsError:
        return {"stores": (), "accounts": ()}
    return {"stores": settings.stores, "accounts": settings.accounts}


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
