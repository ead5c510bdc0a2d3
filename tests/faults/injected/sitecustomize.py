"""Loaded by Python itself in processes whose PYTHONPATH names this folder: looks up `drip.test`, unless the file in NAMES_FAIL exists."""

import os
import socket
from pathlib import Path
from typing import Any

_look_up = socket.getaddrinfo


def _getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    if host == "drip.test":
        if Path(os.environ["NAMES_FAIL"]).exists():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return _look_up(host, *arguments, **options)


if "NAMES_FAIL" in os.environ:
    socket.getaddrinfo = _getaddrinfo
