"""One connection to a cluster, for both clients: the only module that imports grpc.

Neither library's own client is used for that: python-pachyderm 6.2.0 prints the whole config, token and all, when
``PACH_CONFIG`` is set (``Client.new_from_config``), and neither gives a call a time limit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

# grpc's own lines on standard error say nothing that its errors do not; it reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from spoutgen.cluster.context import Context
from spoutgen.cluster.failures import ClusterError, is_missing, refused, unreachable

PATIENCE = 60.0  # seconds for one answer; a stream of logs has no limit
_MOST_BYTES = 20 << 20  # a message that pachd sends or takes

T = TypeVar("T")


class _Call(grpc.ClientCallDetails):  # type: ignore[misc]
    def __init__(self, details: Any, metadata: list[tuple[str, str]], timeout: float | None) -> None:
        self.method = details.method
        self.timeout = details.timeout or timeout
        self.metadata = metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _Everywhere(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
):
    """Every call carries the token and, but for logs, a time limit."""

    def __init__(self, token: str | None, patience: float) -> None:
        self._metadata = [("authn-token", token)] if token else []
        self._patience = patience

    def _details(self, details: Any) -> _Call:
        is_endless = str(details.method).endswith("/GetLogs")
        return _Call(details, [*(details.metadata or ()), *self._metadata], None if is_endless else self._patience)

    def intercept_unary_unary(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return go_on(self._details(details), request)

    def intercept_unary_stream(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return go_on(self._details(details), request)

    def intercept_stream_unary(self, go_on: Callable[[Any, Any], Any], details: Any, requests: Any) -> Any:
        return go_on(self._details(details), requests)


class Connection:
    """A channel, and what its failures mean. ``calls`` is what stubs are made on."""

    def __init__(self, context: Context, patience: float = PATIENCE) -> None:
        self.address = context.address
        self._token = context.token
        options = [("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.max_send_message_length", _MOST_BYTES)]
        # Two connections to one address must not share a socket: a command of its own has a connection of its own.
        options.append(("grpc.use_local_subchannel_pool", 1))
        target = context.target
        if context.is_tls:
            credentials = grpc.ssl_channel_credentials(context.certificates)
            self._channel = grpc.secure_channel(target, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(target, options=options)
        self.calls = grpc.intercept_channel(self._channel, _Everywhere(context.token, patience))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Whatever the cluster answers in here that is no answer becomes a ClusterError."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._error(error) from error

    def found(self, ask: Callable[[], T]) -> T | None:
        """What ``ask`` returns; None if the cluster says that there is no such thing."""
        try:
            return ask()
        except grpc.RpcError as error:
            failure = self._error(error)
            if failure.code in ("SG601", "SG602", "SG603", "SG604"):
                raise failure from error
            if error.code() == grpc.StatusCode.NOT_FOUND or is_missing(error.details() or ""):
                return None
            raise failure from error

    def close(self) -> None:
        """Let go of the channel."""
        self._channel.close()

    def _error(self, error: grpc.RpcError) -> ClusterError:
        said, code = error.details() or "", error.code()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
            return unreachable(self.address, said.replace(self._token, "********") if self._token else said)
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED):
            said = f"{code.name.replace('_', ' ').lower()}: {said}"
        return refused(said, self.address, self._token)
