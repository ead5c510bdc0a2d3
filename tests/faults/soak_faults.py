"""The faults of the soak: each does its harm for some seconds while stores go on posting, and leaves everything as it was."""

import io
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from adapter.process.supervisor import free_port
from adapter.sandbox.running import serving
from tests.faults.harness import Process, Site, Snapshot
from tests.faults.test_kill import Killer
from tests.support.certificate import self_signed
from tests.support.postgresql import PostgresqlServer

ROOT = Path(__file__).parents[2]
BOTH = ("sqlite", "postgresql")
_HALF_OPEN = 200
_STEP = 3 * 3600
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


@dataclass
class Scene:
    """One fault on one database."""

    site: Site
    server: PostgresqlServer | None
    dice: random.Random
    seconds: float
    folder: Path
    previous: str
    """The commit whose code counts as the previous release."""
    stack: ExitStack = field(default_factory=ExitStack)
    tls: "_Tls | None" = None

    @property
    def database(self) -> str:
        """PostgreSQL's name of it."""
        return self.site.database_url.rpartition("/")[2]

    def administer(self, *statements: str) -> None:
        """Run statements on the server, and disconnect the adapter."""
        assert self.server is not None
        with psycopg.connect(self.server.address("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.format(name=self.database).encode())
            connection.execute(_TERMINATE, (self.database,))


@dataclass(frozen=True)
class Fault:
    """`prepare` runs before the adapter starts and may add to its variables; `strike` returns once the harm is over."""

    name: str
    strike: Callable[[Scene], None]
    databases: Sequence[str] = BOTH
    prepare: Callable[[Scene], None] = lambda scene: None
    needs: Callable[[Scene], str] = lambda scene: ""
    """What is missing here for it, or blank."""


# --- processes ---------------------------------------------------------------------------------------------------------------------


def _kill(scene: Scene) -> None:
    killer, until = Killer(scene.site, scene.server, scene.dice), time.monotonic() + scene.seconds
    while time.monotonic() < until:
        time.sleep(scene.dice.uniform(0.2, 1.2))
        killer.kill_one()


def _restart(site: Site, web: Callable[[], Process], sender: Callable[[], Process]) -> None:
    assert site.web is not None
    for process in (site.web, *site.senders):
        process.send(signal.SIGTERM)
    for process in (site.web, *site.senders):
        process.status(within_s=20)
    site.senders.clear()
    web()
    sender()


def _unpack_previous(scene: Scene) -> None:
    archive = subprocess.run(["git", "archive", scene.previous], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(scene.folder / "previous", filter="data")


def _previous(scene: Scene) -> None:
    """The previous release takes over web and sender, then each alone, and the new one comes back."""
    site, old, new = scene.site, str(scene.folder / "previous"), site_path(scene.site)

    def using(path: str, start: Callable[[], Process]) -> Callable[[], Process]:
        def run() -> Process:
            site.variables["PYTHONPATH"] = path
            return start()

        return run

    for web, sender in ((old, old), (old, new), (new, old), (new, new)):
        _restart(site, using(web, site.start_web), using(sender, site.start_sender))
        time.sleep(scene.seconds / 4)


def site_path(site: Site) -> str:
    """PYTHONPATH of the adapter's processes."""
    return site.variables["PYTHONPATH"]


# --- clients -----------------------------------------------------------------------------------------------------------------------


def _slow_clients(scene: Scene) -> None:
    """Connections that send nothing, half a header, and half a body."""
    host, _, port = scene.site.address.rpartition(":")
    head = b"POST /webhooks/shopify HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4000\r\n"
    with ExitStack() as held:
        for begun in (b"", head, head + b"\r\n{") * (_HALF_OPEN // 3):
            with suppress(OSError):
                connection = held.enter_context(socket.create_connection((host, int(port)), 5))
                connection.sendall(begun)
        time.sleep(scene.seconds)


def _vanishing_clients(scene: Scene) -> None:
    """Whole webhooks whose sender is gone before the answer."""
    host, _, port = scene.site.address.rpartition(":")
    until, number = time.monotonic() + scene.seconds, 0
    while time.monotonic() < until:
        number += 1
        each = Snapshot(500_000 + number, 1)
        lines = [f"{name}: {value}" for name, value in {**each.headers(each.payload), "Content-Length": len(each.payload)}.items()]
        request = "\r\n".join(["POST /webhooks/shopify HTTP/1.1", "Host: shop.example", *lines, "", ""]).encode() + each.payload
        with suppress(OSError), socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(request)
        time.sleep(0.02)


# --- machine -----------------------------------------------------------------------------------------------------------------------


def _full_disk(scene: Scene) -> None:
    """The system lets no file of web and sender grow."""
    site = scene.site
    assert site.web is not None
    pids = [*site.web.children, *(sender.pid for sender in site.senders)]
    size = Path(f"{site.engine.url.database}-wal").stat().st_size
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    time.sleep(scene.seconds)
    for pid in pids:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, _UNLIMITED)


def _inject_clock(scene: Scene) -> None:
    library = scene.folder / "clock.so"
    source = ROOT / "tests/faults/injected/clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True, capture_output=True)
    (scene.folder / "clock").write_text("0\n")
    scene.site.variables |= {"LD_PRELOAD": str(library), "CLOCK_STEP": str(scene.folder / "clock")}


def _step_clock(scene: Scene) -> None:
    """Three hours ahead, three hours back, and right again; the database server's clock is right all the time."""
    for step in (_STEP, -_STEP, 0):
        (scene.folder / "next").write_text(f"{step}\n")
        (scene.folder / "next").replace(scene.folder / "clock")
        time.sleep(scene.seconds / 3)


# --- Drip --------------------------------------------------------------------------------------------------------------------------


def _name_drip(scene: Scene) -> None:
    scene.site.variables |= {
        "DRIP_API_URL": f"http://drip.test:{urlsplit(scene.site.drip.url).port}",
        "NAMES_FAIL": str(scene.folder / "no-names"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/faults/injected"), site_path(scene.site)]),
    }


def _fail_names(scene: Scene) -> None:
    no_names = scene.folder / "no-names"
    no_names.touch()
    time.sleep(scene.seconds)
    no_names.unlink()


class _Tls:
    """Drip behind TLS, on one port with one certificate after the other."""

    def __init__(self, scene: Scene) -> None:
        self._app, self._port = scene.site.drip.app, free_port("127.0.0.1")
        self.certificates = {}
        for name in ("right", "wrong"):
            (scene.folder / name).mkdir()
            self.certificates[name] = self_signed(scene.folder / name)
        self.url = f"https://127.0.0.1:{self._port}"
        self._serving: ExitStack | None = None

    def serve(self, name: str) -> None:
        self.stop()
        self._serving = ExitStack()
        self._serving.enter_context(serving(self._app, port=self._port, tls=self.certificates[name]))

    def stop(self) -> None:
        if self._serving is not None:
            self._serving.close()


def _secure_drip(scene: Scene) -> None:
    tls = scene.tls = _Tls(scene)
    tls.serve("right")
    scene.stack.callback(tls.stop)
    scene.site.variables |= {"DRIP_API_URL": tls.url, "REQUESTS_CA_BUNDLE": tls.certificates["right"][0]}


def _wrong_certificate(scene: Scene) -> None:
    assert scene.tls is not None
    scene.tls.serve("wrong")
    time.sleep(scene.seconds)
    scene.tls.serve("right")


# --- PostgreSQL --------------------------------------------------------------------------------------------------------------------


def _restart_database(scene: Scene) -> None:
    assert scene.server is not None
    for _ in range(2):
        scene.server.kill()
        time.sleep(scene.seconds / 2)
        scene.server.start()


def _no_connections(scene: Scene) -> None:
    """Others hold every connection that the server allows, also those that the adapter had."""
    assert scene.server is not None
    address, ends = scene.server.address("postgres"), threading.Event()
    with ExitStack() as held:
        administrator = held.enter_context(psycopg.connect(address, autocommit=True))

        def hog() -> None:
            while not ends.wait(0.005):
                with suppress(psycopg.OperationalError):
                    held.enter_context(psycopg.connect(address, connect_timeout=2))

        hogging = threading.Thread(target=hog)
        hogging.start()
        time.sleep(1)
        for _ in range(3):
            administrator.execute(_TERMINATE, (scene.database,))
            time.sleep(scene.seconds / 3)
        ends.set()
        hogging.join()


def _read_only(scene: Scene) -> None:
    scene.administer("ALTER DATABASE {name} SET default_transaction_read_only = on")
    time.sleep(scene.seconds)
    scene.administer("SET default_transaction_read_only = off", "ALTER DATABASE {name} RESET default_transaction_read_only")


def _needs_compiler(scene: Scene) -> str:
    return "" if shutil.which("cc") else "a C compiler (apt install gcc libc6-dev)"


def _needs_history(scene: Scene) -> str:
    return "" if scene.previous else "git history with an earlier schema"


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill -9 of web, worker, sender, database", _kill),
        Fault("half-open clients", _slow_clients),
        Fault("vanishing clients", _vanishing_clients),
        Fault("full disk", _full_disk, databases=("sqlite",)),
        Fault("clock stepped 3 h both ways", _step_clock, prepare=_inject_clock, needs=_needs_compiler),
        Fault("Drip's name can't be looked up", _fail_names, databases=("sqlite",), prepare=_name_drip),
        Fault("Drip with a wrong certificate", _wrong_certificate, databases=("sqlite",), prepare=_secure_drip),
        Fault("PostgreSQL killed and restarted", _restart_database, databases=("postgresql",)),
        Fault("PostgreSQL out of connections", _no_connections, databases=("postgresql",)),
        Fault("PostgreSQL read-only", _read_only, databases=("postgresql",)),
        Fault("previous release and back", _previous, prepare=_unpack_previous, needs=_needs_history),
    )
}
