"""The types and options that several commands share."""

import click

MOST = 2**63 - 1  # the largest whole number of both databases
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line, for programs.")
PARENT = click.option("--parent", type=int, hidden=True, help="End when this process is gone.")
SANDBOX_URL = click.option("--sandbox-url", default="", hidden=True, help="Send to the sandbox at this address.")
STORE = click.option("--store", default="", metavar="NAME", help="Only this store.")
ROW = click.IntRange(0, MOST)
"""A row's id, as an argument: Click doesn't print the range of an argument in the help."""
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


def url(value: str) -> str:
    """An absolute http(s) address, or nothing."""
    from mappings import absolute_url  # noqa: PLC0415 - it comes with marshmallow, which not every user of this module needs

    if value and not absolute_url(value):
        raise click.BadParameter(f"{value!r} isn't an address such as http://127.0.0.1:8000")
    return value


def row_id(value: str) -> int:
    """A row's id, as an option."""
    if not value.isdecimal() or int(value) > MOST:
        raise click.BadParameter(f"{value!r} isn't an id")
    return int(value)


def listening_address(value: str) -> str:
    """Where to listen; without a host, at every address of the machine."""
    if not value:
        return ""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r} isn't HOST:PORT, such as 127.0.0.1:8000")
    return f"{host or '0.0.0.0'}:{port}"  # noqa: S104 - asked for
