"""A renamed store takes over what is kept under its old names: deliveries, and what Drip has of its orders.

Done in pieces, each in its own transaction: a store may have a million rows, and a statement has three seconds.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, Text, and_, case, cast, delete, select, tuple_, update

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import backfills, deliveries, holdups, orders, products, refusals

_PIECE = 500


def adopt_deliveries(engine: Engine, store: str, aliases: Sequence[str]) -> int:
    """Move the deliveries under a store's old names to its current name; how many. Only for the holder of the reader's lease."""
    return _by_pieces(engine, lambda connection: _some_deliveries(connection, store, aliases)) if aliases else 0


def adopt_orders(engine: Engine, account: str, store: str, aliases: Sequence[str]) -> int:
    """Move what an account has of a store's orders to the store's current name; how many. Only for the holder of the account's lease."""
    return _by_pieces(engine, lambda connection: _some_orders(connection, account, store, aliases)) if aliases else 0


def has_orphans(engine: Engine, aliases: Sequence[str]) -> bool:
    """Whether any delivery is still kept under these names."""
    with snapshot(engine) as connection:
        return connection.execute(select(deliveries.c.id).where(deliveries.c.store.in_(aliases)).limit(1)).scalar() is not None


def _by_pieces(engine: Engine, piece: Callable[[Connection], int]) -> int:
    total = 0
    while True:
        with transaction(engine) as connection:
            moved = piece(connection)
        total += moved
        if moved < _PIECE:
            return total


def _some_deliveries(connection: Connection, store: str, aliases: Sequence[str]) -> int:
    rows = connection.execute(select(deliveries.c.id, deliveries.c.key).where(deliveries.c.store.in_(aliases)).limit(_PIECE)).all()
    keys = [row.key for row in rows]
    taken = set(connection.execute(select(deliveries.c.key).where(deliveries.c.store == store, deliveries.c.key.in_(keys))).scalars())
    # Where both names hold the same key both deliveries stay, since both were acknowledged; the second will be skipped as unchanged.
    unique = deliveries.c.key + "#" + cast(deliveries.c.id, Text)
    own_key = case((deliveries.c.key.in_(taken), unique), else_=deliveries.c.key)
    connection.execute(update(deliveries).where(deliveries.c.id.in_([row.id for row in rows])).values(store=store, key=own_key))
    if len(rows) < _PIECE:
        for table in (products, refusals, backfills, holdups):  # a cache, a count, a bookmark and what is noted again: not worth merging
            connection.execute(delete(table).where(table.c.store.in_(aliases)))
    return len(rows)


def _some_orders(connection: Connection, account: str, store: str, aliases: Sequence[str]) -> int:
    old = connection.execute(select(orders).where(orders.c.account == account, orders.c.store.in_(aliases)).limit(_PIECE)).all()
    known = {
        row.order_id: row.updated_at
        for row in connection.execute(
            select(orders.c.order_id, orders.c.updated_at).where(
                orders.c.account == account, orders.c.store == store, orders.c.order_id.in_([row.order_id for row in old])
            )
        )
    }
    for row in sorted(old, key=lambda row: row.updated_at):
        if row.order_id in known and known[row.order_id] >= row.updated_at:
            continue
        key = and_(orders.c.account == account, orders.c.order_id == row.order_id)
        connection.execute(delete(orders).where(key, orders.c.store == store))
        connection.execute(update(orders).where(key, orders.c.store == row.store).values(store=store))
        known[row.order_id] = row.updated_at
    places = [(row.store, row.order_id) for row in old]
    connection.execute(delete(orders).where(orders.c.account == account, tuple_(orders.c.store, orders.c.order_id).in_(places)))
    return len(old)
