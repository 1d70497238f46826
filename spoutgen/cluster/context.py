"""pachctl's own config: which cluster, at which address, with which token and certificates.

The file is ``$PACH_CONFIG``, else ``~/.pachyderm/config.json``; the context ``$PACH_CONTEXT``, else the active one
(src/client/pkg/config/config.go, ``contextEnvVar``). Nothing in it is ever printed but names and the address.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spoutgen.cluster.failures import ClusterError, problem

DEFAULT_PORT = 30650  # of pachctl port-forward, and where no address is given


@dataclass(frozen=True, slots=True)
class Context:
    """How to reach a cluster. ``certificates`` are PEM, None for those of this machine; the token is never shown."""

    name: str
    host: str
    port: int
    is_tls: bool
    token: str | None = field(default=None, repr=False)
    certificates: bytes | None = field(default=None, repr=False)
    project: str | None = None

    @property
    def address(self) -> str:
        """``grpc://host:port`` or ``grpcs://host:port``."""
        return f"grpc{'s' if self.is_tls else ''}://{self.target}"

    @property
    def target(self) -> str:
        """``host:port``, as gRPC takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def config_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where pachctl keeps its config."""
    return Path(environment.get("PACH_CONFIG") or Path.home() / ".pachyderm" / "config.json")


def find_context(wanted: str | None = None, environment: Mapping[str, str] = os.environ) -> Context:
    """The context of that name, or the one that pachctl would take. Raises ClusterError SG601.

    Without a config file it is what pachctl then assumes: a port forwarded to this machine.
    """
    file = config_file(environment)
    wanted = wanted or environment.get("PACH_CONTEXT")
    try:
        document = json.loads(file.read_bytes())
        v2 = document.get("v2") or {}
        contexts, active = v2.get("contexts") or {}, v2.get("active_context")
        context = dict(contexts[wanted or active]) if (wanted or active) in contexts else None
    except FileNotFoundError:
        contexts, active, context = {}, None, None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        kind = "JSON" if isinstance(error, ValueError) else "pachctl's"
        reason = error.strerror if isinstance(error, OSError) else f"it is not {kind}"
        hint = "put it right, or set PACH_CONFIG to another one"
        raise ClusterError(problem("SG601", f"the config {file} cannot be read: {reason}", hint)) from error
    if context is None and wanted:
        known = ", ".join(sorted(contexts)) or "none"
        raise ClusterError(problem("SG601", f"there is no context {wanted!r} in {file}", f"there is: {known}"))
    if context is None and active:
        hint = "pachctl config set active-context NAME"
        raise ClusterError(problem("SG601", f"the active context {active!r} is not in {file}", hint))
    return _context(wanted or active or "(no config)", context or {}, file)


def _context(name: str, context: Mapping[str, Any], file: Path) -> Context:
    text = context.get("pachd_address")
    if not text:
        forwarded = context.get("port_forwarders") or {}
        text = f"grpc://localhost:{forwarded.get('pachd', DEFAULT_PORT)}"
    host, port, is_tls = _address(str(text), name)
    encoded = context.get("server_cas")
    try:
        certificates = base64.b64decode(encoded, validate=True) if encoded else None
    except (binascii.Error, ValueError, TypeError) as error:
        hint = "it must be base64 of PEM: pachctl config update context --server-cas ..."
        message = f"server_cas of context {name!r} in {file} cannot be read"
        raise ClusterError(problem("SG601", message, hint)) from error
    return Context(
        name=name,
        host=host,
        port=port,
        # Certificates are there for TLS only, whatever the scheme says.
        is_tls=is_tls or certificates is not None,
        token=context.get("session_token") or None,
        certificates=certificates,
        project=context.get("project") or None,
    )


def _address(text: str, name: str) -> tuple[str, int, bool]:
    """Host, port and whether it is TLS. Raises ClusterError SG601 without repeating what may hold a password."""
    try:
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        port = parts.port or DEFAULT_PORT
    except ValueError:
        parts, port = None, 0
    is_plain = parts is not None and not (parts.username or parts.password or parts.query or parts.path.strip("/"))
    if parts is None or not is_plain or not parts.hostname or parts.scheme not in ("grpc", "grpcs", "http", "https"):
        hint = "it is grpc://HOST:PORT, or grpcs:// with TLS"
        raise ClusterError(problem("SG601", f"pachd_address of context {name!r} is not an address", hint))
    return parts.hostname, port, parts.scheme in ("grpcs", "https")
