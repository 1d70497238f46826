"""A registry of images, as far as a push needs one (the OCI distribution spec), on this machine; or a locked one."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Registry(ThreadingHTTPServer):
    """Keeps what is pushed: ``blobs`` by digest, ``manifests`` by name and tag, or name and digest.

    ``refused`` are parts of paths that nothing is put to: a push gets so far and no further.
    """

    daemon_threads = True

    def __init__(self, is_locked: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_locked = is_locked
        self.refused: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self.path == "/v2/" or self._digest() in self.server.blobs
        self._answer(401 if self.server.is_locked else 200 if found else 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        number = str(len(self.server.uploads))
        self.server.uploads[number] = b""
        self._answer(202, {"Location": f"{self.path}{number}"})

    def do_PATCH(self) -> None:
        number = self.path.rpartition("/")[2]
        self.server.uploads[number] += self._body()
        self._answer(202, {"Location": self.path})

    def do_PUT(self) -> None:
        body = self._body()
        if any(part in self.path for part in self.server.refused):
            return self._answer(403)
        if "/manifests/" in self.path:
            name, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
            self.server.manifests[f"{name}:{tag}"] = body
        else:
            number, _, query = self.path.rpartition("/")[2].partition("?")
            body = self.server.uploads[number] + body
            self.server.blobs[query.partition("digest=")[2].replace("%3A", ":")] = body
        return self._answer(201, {"Docker-Content-Digest": f"sha256:{hashlib.sha256(body).hexdigest()}"})

    def _digest(self) -> str:
        return self.path.rpartition("/")[2]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="locked"')
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that vouches for itself, and its key."""
    files = folder / "registry-cert.pem", folder / "registry-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


@contextmanager
def registry(is_locked: bool = False, tls: tuple[Path, Path] | None = None) -> Iterator[Registry]:
    """A registry that serves meanwhile, over TLS if it has a certificate and key; a locked one lets nobody in."""
    with Registry(is_locked) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
