"""A loop's turn that may fail: the loop must not end with it."""

import logging
from collections.abc import Callable

from adapter.errors import DatabaseAway, LeaseLost
from adapter.monitoring.error_reporting import report

log = logging.getLogger(__name__)
AFTER_ERROR_S = 2.0


def survive(turn: Callable[[], float]) -> float:
    """The seconds to wait that a turn returns; a while, if it fails. What happened is logged."""
    try:
        return turn()
    except LeaseLost as error:
        log.warning(str(error), extra={"action": "lease_lost"})
    except DatabaseAway as error:
        log.error(str(error), extra={"action": "database_away"})
    except Exception as error:
        report(error)
        # The traceback holds no payload, the message might.
        log.error("%s in a sender's step", type(error).__name__, extra={"action": "fault"}, exc_info=log.isEnabledFor(logging.DEBUG))
    return AFTER_ERROR_S
