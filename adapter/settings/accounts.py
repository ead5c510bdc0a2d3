"""A Drip account from the three settings that make one."""

import re

from adapter.settings.checks import is_token
from adapter.settings.problems import SettingsProblems
from adapter.settings.values import Account

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]+")


def drip_account(account_id: str, api_key: str, access_token: str, table: str, problems: SettingsProblems) -> Account | None:
    """The account of three settings; `table` is the store's in STORES, or blank for the environment's variables."""
    names = [f"{table}.{name}" if table else name.upper() for name in ("drip_account_id", "drip_api_key", "drip_access_token")]
    account_id, api_key, access_token = account_id.strip(), api_key.strip(), access_token.strip()
    if not (account_id or api_key or access_token):
        return None
    if not account_id:
        problems.add(names[0], f"missing beside {names[1] if api_key else names[2]}: Drip shows it under Settings > Account > General Info")
    elif not _ACCOUNT_ID.fullmatch(account_id):
        problems.add(names[0], "is no account id: digits and letters only")
    elif not (api_key or access_token):
        problems.add(names[1], f"missing beside {names[0]}: Drip shows it under User Settings > General Info; or set {names[2]}")
    elif api_key and access_token:
        problems.add(names[2], f"set beside {names[1]}: keep one of them")
    elif not is_token(access_token or api_key):
        problems.add(names[2] if access_token else names[1], "holds a space or a character that no token has: copy it from Drip again")
    elif access_token:
        return Account(id=account_id, token=access_token, auth="bearer", id_setting=names[0], token_setting=names[2])
    else:
        return Account(id=account_id, token=api_key, id_setting=names[0], token_setting=names[1])
    return None
