"""`export`: the inbox as files."""

from datetime import UTC, datetime
from pathlib import Path

import click

from adapter.cli import output
from adapter.cli.delivery_output import delivery_document
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import AS_JSON, STORE
from adapter.cli.progress import progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.errors import WorkFailed
from adapter.inbox import audit, search
from adapter.inbox.database import transaction
from adapter.inbox.packing import LOCKED
from adapter.operations.export import Exported, export
from adapter.operations.wording import counted


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@STORE
@AS_JSON
@explained
def command(folder: Path, store: str, as_json: bool) -> None:
    """Write what was received to files.

    Each delivery becomes a folder with the webhook as received (headers.json, payload.json), which map and replay can read, and with
    everything known about it (delivery.json): every attempt, what was sent to Drip, and Drip's answer. The files contain personal data;
    the audit log records the export.
    """
    settings = current_settings()
    with open_inbox(settings, store=store) as engine:
        again = f"{folder} is incomplete: delete it, and run the command again"
        with progress("exporting", if_interrupted=again, shown=not as_json) as bar:

            def show(done: Exported) -> None:
                bar.update(note=counted(done.deliveries))

            done = export(engine, settings, search.filtered(store=store), folder, delivery_document, show)
        with transaction(engine) as connection:
            subject = f"{counted(done.deliveries)}{f' of {store}' if store else ''}"
            audit.note(connection, "exported, with personal data", subject, "", datetime.now(UTC), audit.COMMAND)
    if as_json:
        output.document({"exported": done.deliveries, "without_payload": done.erased, "unreadable": done.locked, "folder": str(folder)})
    else:
        erased = f"; {done.erased} without payload, which has been erased" if done.erased else ""
        echo(f"{counted(done.deliveries)} exported to {folder}{erased}")
    if done.locked:
        raise WorkFailed(f"the payloads of {counted(done.locked)} can't be read: {LOCKED}")
