"""Asks Drip about each account before an order does: at the start, when credentials have changed, and again while they fail.

Requests are made one at a time with pauses, accounts with orders that are due first, so that a thousand accounts are no burst.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.inbox import accounts, proofs
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.sending import due_accounts
from adapter.operations.drip_account import Proof, ask_drip
from adapter.settings import Account, Settings

log = logging.getLogger(__name__)
_BETWEEN_ACCOUNTS_S = 0.2
_NOTHING_TO_ASK_S = 1.0
_WITHOUT_ANSWERS_S = 30.0
_MOST_WITHOUT_ANSWER = 3
_AGAIN_AFTER = timedelta(seconds=30)
_LONGEST = timedelta(minutes=5)
_UNAUTHORIZED = 401


class Prover:
    """Used by one thread of the process that holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._fingerprints = {account.id: account.fingerprint(settings.drip_api_url) for account in settings.accounts.values()}
        self._credentials = proofs.credentials(self._fingerprints)
        self._asked: dict[str, int] = {}
        self._unanswered = 0

    def step(self) -> float:
        """Ask about one account, if any needs it; the seconds to wait before the next step."""
        with snapshot(self._engine) as connection:
            account, known = self._next(connection)
        if account is None:
            return _NOTHING_TO_ASK_S
        proof = ask_drip(self._settings, account)
        self._asked[account.id] = self._asked.get(account.id, 0) + 1
        with transaction(self._engine) as connection:
            self._record(connection, account, known, proof)
        self._unanswered = 0 if proof.status is not None else self._unanswered + 1
        return _WITHOUT_ANSWERS_S if self._unanswered >= _MOST_WITHOUT_ANSWER else _BETWEEN_ACCOUNTS_S

    def _next(self, connection: Connection) -> tuple[Account | None, Row[Any] | None]:
        """The account to ask about next, and what is known of it."""
        now, known, all_accounts = self._clock(), proofs.not_proved(connection, self._credentials), self._settings.accounts
        failing = [account for account in known if account in self._asked and self._is_wanted(all_accounts[account], known[account], now)]
        wanted = [*(account for account in all_accounts if account not in self._asked), *failing]
        if not wanted:
            return None, None
        due = {each.account for each in due_accounts(connection, now)}
        chosen = min(wanted, key=lambda account: (account not in due, not _is_paused(known, account), account))
        return all_accounts[chosen], proofs.proof(connection, chosen)

    def _is_wanted(self, account: Account, known: Row[Any], now: datetime) -> bool:
        if known.resumed_at is not None and known.proof_at == known.resumed_at:
            return True
        return not self._is_proved(account, known) and (known.proof_at is None or known.proof_at <= now)

    def _is_proved(self, account: Account, known: Row[Any] | None) -> bool:
        return known is not None and known.proved_with == self._fingerprints[account.id]

    def _record(self, connection: Connection, account: Account, known: Row[Any] | None, proof: Proof) -> None:
        now, was_proved = self._clock(), self._is_proved(account, known)
        if proof.is_accepted:
            proofs.set_proved(connection, account.id, self._fingerprints[account.id])
            if known is not None and known.paused_since is not None:
                self._resume(connection, account, was_proved=was_proved)
            return
        # An order's answer counts for more than this one: a token may write orders without being allowed to read the account.
        if was_proved and proof.status != _UNAUTHORIZED:
            proofs.set_proved(connection, account.id, self._fingerprints[account.id])
            return
        wait = min(_AGAIN_AFTER * 2 ** (self._asked[account.id] - 1), _LONGEST)
        proofs.set_unproven(connection, account.id, proof.why, at=now, again_at=now + wait)
        if proof.is_rejected:
            accounts.pause(connection, account.id, why=proof.why, since=now, probe_at=now)  # an order that waits is tried at once
        log.error(proof.why, extra={"action": "unproven", "account": account.id, "seconds": round(wait.total_seconds())})

    def _resume(self, connection: Connection, account: Account, *, was_proved: bool) -> None:
        """Let an account that was paused continue at once. One that was paused with these very credentials tries an order first."""
        now = self._clock()
        if was_proved:
            accounts.set_trouble(connection, account.id, probe_at=now, resumed_at=now)
            return
        accounts.set_trouble(connection, account.id, paused_since=None, pause_reason=None, probe_at=None, resumed_at=now)
        log.warning("Drip accepts the credentials", extra={"action": "resumed", "account": account.id})


def _is_paused(known: Mapping[str, Row[Any]], account: str) -> bool:
    return account in known and known[account].paused_since is not None
