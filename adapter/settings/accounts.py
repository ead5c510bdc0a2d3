"""A Drip account, from the three settings that define one."""

import re

from adapter.settings.problems import SettingsProblems
from adapter.settings.secrets import why_no_token
from adapter.settings.values import Account

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]+")


def drip_account(account_id: str, api_key: str, access_token: str, table: str, problems: SettingsProblems) -> Account | None:
    """The account; `table` is the store's table in STORES, or blank for environment variables. None if there is none or it is invalid."""
    names = [f"{table}.{name}" if table else name.upper() for name in ("drip_account_id", "drip_api_key", "drip_access_token")]
    account_id, api_key, access_token = account_id.strip(), api_key.strip(), access_token.strip()
    if not (account_id or api_key or access_token):
        return None
    if not account_id:
        problems.add(names[0], f"missing, while {names[1] if api_key else names[2]} is set; in Drip: Settings > Account > General Info")
    elif not _ACCOUNT_ID.fullmatch(account_id):
        problems.add(names[0], "isn't an account ID: only letters, digits, - and _ are allowed")
    elif not (api_key or access_token):
        problems.add(names[1], f'missing, while {names[0]} is set; in Drip: Settings > User Settings, "API Token"; or set {names[2]}')
    elif api_key and access_token:
        problems.add(names[2], f"set together with {names[1]}; keep only one of them")
    elif why := why_no_token(access_token or api_key):
        problems.add(names[2] if access_token else names[1], why)
    elif access_token:
        return Account(id=account_id, token=access_token, auth="bearer", id_setting=names[0], token_setting=names[2])
    else:
        return Account(id=account_id, token=api_key, id_setting=names[0], token_setting=names[1])
    return None
