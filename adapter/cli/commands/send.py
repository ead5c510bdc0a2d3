"""`send`: a sender alone."""

import os
import signal
import sys

import click

from adapter.cli.exit_status import explained
from adapter.cli.inbox import require_file
from adapter.cli.parameters import PARENT, SANDBOX_URL
from adapter.cli.startup import settings_for
from adapter.cli.waiting import await_database
from adapter.delivery.run import Senders
from adapter.errors import AdapterError
from adapter.inbox.database import connect
from adapter.inbox.schema_version import require_schema
from adapter.process.parent import end_with_parent

# Beside a web process, a burst of webhooks is acknowledged first and mapped after.
_YIELDING = 10
_SWITCH_S = 0.0005


@click.command("send")
@SANDBOX_URL
@PARENT
@explained
def command(sandbox_url: str, parent: int | None) -> None:
    """Run a sender alone; any number may run.

    For a dyno or machine of its own. Senders run beside each other and beside serve, and no order is sent twice.
    """
    settings = settings_for(sandbox_url)
    engine = connect(settings.database_url, settings.payload_keys)
    try:
        require_file(engine)
        await_database(engine, require_schema)
    except AdapterError:
        engine.dispose()
        raise
    if parent:
        end_with_parent(parent)
        os.nice(_YIELDING)
    # Each statement lets other threads run. One that maps would keep this one waiting for 5 ms, Python's default, while it holds the turn
    # to write and webhooks wait for it.
    sys.setswitchinterval(_SWITCH_S)
    senders = Senders(engine, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: senders.ask_to_stop())
    senders.start()
    senders.wait()
    senders.stop()
