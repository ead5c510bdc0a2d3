"""The web side served at PUBLIC_URL from a thread, as stores reach it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from adapter.process.supervisor import free_port
from adapter.sandbox.running import serving
from adapter.settings import read_settings
from tests.support.whole_app import create_app


@contextmanager
def live_adapter(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, tls: tuple[str, str] | None = None) -> Iterator[str]:
    """Serve with the settings of the environment, among which PUBLIC_URL is set to the address; that address.

    With `tls`, the paths of a certificate and its key, over HTTPS; requests trust the certificate meanwhile.
    """
    port = free_port("127.0.0.1")
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    with monkeypatch.context() as patched:
        patched.setenv("PUBLIC_URL", url)
        if tls:
            patched.setenv("REQUESTS_CA_BUNDLE", tls[0])
        with serving(create_app(read_settings(), engine), port=port, tls=tls):
            yield url
