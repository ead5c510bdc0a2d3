"""What was postponed while the clock was ahead. Once it has been set back, that would otherwise wait for as long as it was ahead."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from adapter.inbox.tables import attempts, deliveries, leases, requests

_LONGEST_PROBE_WAIT = timedelta(minutes=10)
_TOLERANCE = timedelta(minutes=1)


def has_future(connection: Connection, now: datetime) -> bool:
    """Whether anything waits that can only have been postponed by a clock that was ahead."""
    found = connection.execute(select(or_(exists().where(_deliveries(now)), exists().where(_probes(now))))).scalar()
    return bool(found)


def end_future(connection: Connection, now: datetime) -> int:
    """Let it be due now; how many deliveries."""
    connection.execute(update(leases).where(_probes(now)).values(probe_at=now))
    return connection.execute(update(deliveries).where(_deliveries(now)).values(due_at=now)).rowcount


def _deliveries(now: datetime) -> ColumnElement[bool]:
    ahead = now + _TOLERANCE
    waiting = and_(deliveries.c.state == "pending", deliveries.c.read_at.is_not(None), deliveries.c.order_id.is_not(None))
    tried = select(attempts.c.id).join(requests, requests.c.id == attempts.c.request_id)
    tried_ahead = tried.where(attempts.c.delivery_id == deliveries.c.id, requests.c.begun_at > ahead).exists()
    return and_(waiting, deliveries.c.due_at > ahead, or_(deliveries.c.read_at > ahead, deliveries.c.received_at > ahead, tried_ahead))


def _probes(now: datetime) -> ColumnElement[bool]:
    return leases.c.probe_at > now + _LONGEST_PROBE_WAIT
