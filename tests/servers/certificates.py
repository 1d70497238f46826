"""A certificate authority of the tests' own, by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

_NEW = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "30"]


class Certificate(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """``ca_file`` is what vouches for everything that it signs; its files are in ``folder``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.ca_file, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        subject = ["-subj", f"/CN=spoutgen tests {name}"]
        self._run(*_NEW, "-nodes", "-keyout", str(self._key), "-out", str(self.ca_file), *subject)

    def signed(self, name: str, host: str = "DNS:nobody", password: str | None = None) -> Certificate:
        """A new certificate for ``host`` (``IP:127.0.0.1`` or ``DNS:...``), its key kept with ``password`` if given."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        extensions = ["-addext", f"subjectAltName={host}", "-addext", "basicConstraints=critical,CA:FALSE"]
        secrecy = ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
        signer = ["-CA", str(self.ca_file), "-CAkey", str(self._key), "-subj", f"/CN={name}"]
        files = ["-keyout", str(made.key), "-out", str(made.certificate)]
        self._run(*_NEW, *signer, *extensions, *secrecy, *files)
        return made

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)
