"""The settings, read once from the environment and checked. Plain data: what connects, fetches or verifies is built elsewhere."""

from adapter.settings.environment import LOG_LEVELS, read_settings
from adapter.settings.secrets import WEAK_PASSWORD
from adapter.settings.stores import secret_variables, unknown_store
from adapter.settings.table import StoreTable
from adapter.settings.values import (
    DEFAULT_DATABASE_URL,
    DEFAULT_PORT,
    DRIP_API_URL,
    SANDBOX_ACCOUNT,
    SANDBOX_DATABASE_URL,
    Account,
    ApiSettings,
    Settings,
    Store,
)

__all__ = [
    "DEFAULT_DATABASE_URL", "DEFAULT_PORT", "DRIP_API_URL", "LOG_LEVELS", "SANDBOX_ACCOUNT", "SANDBOX_DATABASE_URL", "WEAK_PASSWORD",
    "Account", "ApiSettings", "Settings", "Store", "StoreTable", "read_settings", "secret_variables", "unknown_store",
]  # fmt: skip
