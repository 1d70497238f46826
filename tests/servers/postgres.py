"""A PostgreSQL cluster of the tests' own: by initdb, on a free port, with passwords, TLS and ``wal_level=logical``.

The superuser comes in by the Unix socket; over TCP everybody needs a password.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

HOST = "127.0.0.1"
PASSWORD = "canary-pg-7f3a9c"  # no file, log line or error may have it

_CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
max_prepared_transactions = 5
fsync = off
shared_buffers = 64MB
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
lc_messages = '{language}'
"""
_HBA = """
local all postgres trust
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it out of the PATH."""
    found = shutil.which("pg_ctl")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return Path(found).parent if found else folders[-1].parent if folders else None


def speaks(language: str) -> str | None:
    """Why a cluster cannot speak ``language`` (de_DE, say) here; None if it can."""
    if not Path("/usr/share/i18n/locales", language).exists():
        return f"no definition of the locale {language} (Debian: locales)"
    if not list(Path("/usr/share/locale", language[:2], "LC_MESSAGES").glob("postgres-*.mo")):
        return f"PostgreSQL has no messages in {language} here"
    return None


class Cluster:
    """One cluster in ``folder``. ``port`` stays the same over restarts."""

    def __init__(self, folder: Path, bin_folder: Path, language: str = "C") -> None:
        """``language``: one that :func:`speaks` says it can, such as ``de_DE``."""
        self.folder = folder
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        self.port = _free_port()
        self.ca_file = folder / "server.pem"
        self._bin = bin_folder
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres", "postgres")
        self._run(
            "initdb",
            "-D",
            str(folder / "data"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8" if language == "C" else "--locale=C",
            "-N",
        )
        if language != "C":
            (folder / "locales").mkdir()
            made = str(folder / "locales" / f"{language}.UTF-8")
            subprocess.run(["localedef", "-i", language, "-f", "UTF-8", made], check=True, capture_output=True)
            self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "LOCPATH": str(folder / "locales")}
            language = f"{language}.UTF-8"
        with (folder / "data/postgresql.conf").open("a") as config:
            config.write(_CONFIG.format(port=self.port, folder=folder, language=language))
        (folder / "data/pg_hba.conf").write_text(_HBA)
        self._make_certificate()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` as an administrator does, ``immediate`` as a crash does."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "-t", "60", "stop")

    def stop_soon(self) -> None:
        """Ask it to stop, as ``stop`` does, and do not wait."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-W", "stop")

    def wait_until_down(self) -> None:
        """Wait until it has stopped."""
        deadline = time.monotonic() + 60
        while (self.folder / "data/postmaster.pid").exists():
            assert time.monotonic() < deadline, f"the server does not stop:\n{self.logged()}"
            time.sleep(0.02)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """As the superuser, each statement a transaction of its own."""
        return psycopg.connect(host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True)

    def logged(self) -> str:
        """What the server has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def _make_certificate(self) -> None:
        subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
        files = ["-keyout", "server.key", "-out", "server.pem"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", *subject, *files]
        self._run(*command)

    def _run(self, program: str, *arguments: str) -> None:
        path = self._bin / program
        command = [str(path) if path.exists() else program, *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"{program}: {done.stdout}{self.logged() if (self.folder / 'log').exists() else ''}"
        )


@contextmanager
def running_cluster(bin_folder: Path, language: str = "C") -> Iterator[Cluster]:
    """A cluster that runs, and ends with the tests. Its folder is not pytest's, which no other user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="spoutgen-postgres-"))
    cluster = Cluster(folder, bin_folder, language)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
