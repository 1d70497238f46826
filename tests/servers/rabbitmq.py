"""A RabbitMQ node of the tests' own: its own folder, ports, users, certificates; it can die and come back.

Debian's packages `rabbitmq-server` and `util-linux` are all that it needs. Its data stays in ``folder``, so queues and
streams outlive a restart. Nothing of another node on this machine is touched: it has a name and a port mapper of its
own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

SERVER = Path(
    "/usr/lib/rabbitmq/bin/rabbitmq-server"
)  # not the wrapper in /usr/sbin, which insists on /var/lib/rabbitmq
BOOT = 120.0  # seconds that a node may take until it listens, on a busy machine

CANARY = "canary-Rq7-password"  # the password of `spout`, which no log, error or file may show

KEPT = "kept"  # a queue that outlives a kill: one that was declared a moment before does not


@dataclass(frozen=True, slots=True)
class User:
    """``permissions`` are the patterns of configure, write and read in the vhost `/`; None: no access to it at all."""

    name: str
    password: str
    permissions: tuple[str, str, str] | None


ADMIN = User("admin", "admin-of-the-tests", (".*", ".*", ".*"))
SPOUT = User("spout", CANARY, ("", "", ".*"))  # all that a spout needs: to read
WRITER = User("writer", "writer-of-the-tests", ("", ".*", ""))
STRANGER = User("stranger", "stranger-of-the-tests", None)


def missing() -> str | None:
    """Why no node can be started here; None if one can."""
    if not SERVER.exists():
        return f"no RabbitMQ here: {SERVER} is missing (apt-get install rabbitmq-server)"
    return None


class RabbitNode:
    """``start``, ``stop`` (as an operator does), ``kill`` (as a lost machine), and ``start`` again.

    ``port`` speaks AMQP without TLS, ``tls_port`` with it; ``ca_file`` is what its certificate is signed by.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port, self.api_port, self._epmd_port, self._node_port = _free_ports(5)
        self.ca_file = folder / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd_seen = False
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "home").mkdir()
        _certificates(folder)
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(self._settings())

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(SERVER)],  # not even a killed test leaves a node behind
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + BOOT
        while not (_speaks_amqp(self.port) and _accepts(self.tls_port)):
            assert self._process.poll() is None, f"the node ended: {self._last_words()}"
            assert time.monotonic() < deadline, f"the node does not listen: {self._last_words()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Let the node end in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """The node stands still, and its connections stay."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """The node goes on."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the node and its port mapper."""
        self.kill()
        epmd = shutil.which("epmd")
        if epmd:
            command = [epmd, "-port", str(self._epmd_port), "-kill"]
            subprocess.run(command, check=False, capture_output=True)

    def api(self, method: str, path: str, body: object = None) -> object:
        """Ask the management plugin, for what AMQP cannot do: connections to close, users, policies."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.api_port}/api/{path}", data, method=method)
        login = base64.b64encode(f"{ADMIN.name}:{ADMIN.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=BOOT)
        self._process = None

    def _settings(self) -> str:
        folder = self.folder
        return "\n".join(
            [
                f"listeners.tcp.1 = 127.0.0.1:{self.port}",
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.api_port}",
                f"ssl_options.cacertfile = {self.ca_file}",
                f"ssl_options.certfile = {folder / 'server.pem'}",
                f"ssl_options.keyfile = {folder / 'server.key'}",
                f"load_definitions = {folder / 'definitions.json'}",
                "disk_free_limit.absolute = 50MB",
                "vm_memory_high_watermark.absolute = 1GB",
                "log.console = true",
                "log.console.level = warning",
                "log.file = false",
                "",
            ]
        )

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),  # the cookie
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node: one process to signal
            "RABBITMQ_NODENAME": f"spoutgen{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
        }

    def _last_words(self) -> str:
        return (self.folder / "output.log").read_text(errors="replace")[-2000:]


def _definitions() -> dict[str, object]:
    users = [ADMIN, SPOUT, WRITER, STRANGER]
    return {
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "queues": [{"name": KEPT, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}],
        "users": [
            {
                "name": user.name,
                "password_hash": _hashed(user.password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"] if user is ADMIN else [],
            }
            for user in users
        ],
        "permissions": [
            {
                "user": user.name,
                "vhost": vhost,
                **dict(zip(("configure", "write", "read"), user.permissions, strict=True)),
            }
            for user in users
            if user.permissions
            for vhost in ("/", "other")
            if vhost == "/" or user is ADMIN
        ],
    }


def _hashed(password: str) -> str:
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _certificates(folder: Path) -> None:
    """ca.pem signs server.pem, which is for localhost and not for 127.0.0.1."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=spoutgen tests"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    signed = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
        "-subj",
        "/CN=localhost",
    ]
    for rest in (ca, [*signed, *names]):
        subprocess.run([*make, *rest], cwd=folder, check=True, capture_output=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _speaks_amqp(port: int) -> bool:
    """The node listens a moment before it is ready; connection.start is said only by a node that is."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as one:
            one.settimeout(5)
            one.sendall(b"AMQP\x00\x00\x09\x01")
            return one.recv(1) == b"\x01"
    except OSError:
        return False
