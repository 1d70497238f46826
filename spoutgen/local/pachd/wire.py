"""gRPC around plain functions: which calls there are, and errors in gRPC's words. Messages are the real SDK's.

grpcio's generic handlers take any (de)serialiser, so upstream's own message classes serve both sides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from spoutgen.errors import SpoutgenError
from spoutgen.local.refused import NotFoundError, RefusedError, reason

# v2.11.6:src/internal/grpcutil/server.go: 20 MB both ways.
MOST_BYTES = 20 << 20
# A call that waits for a commit, or follows a log, holds its thread.
_THREADS = 32

Shape = Literal["unary", "stream out", "stream in"]


class AlreadyExistsError(RefusedError):
    """There is something of that name already."""


class UnauthenticatedError(RefusedError):
    """The caller has no token, or a wrong one."""


class UnimplementedError(RefusedError):
    """A call, or a field of one, that the local cluster does not have."""


class UnavailableError(Exception):
    """The reply is lost: the caller cannot know what came of its request. Raised by checkpoints."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call being answered: who asks, through which door, and whether it still listens."""

    is_sidecar: bool
    transaction: str
    context: Any

    @property
    def is_gone(self) -> bool:
        """Whether the caller has hung up."""
        return not self.context.is_active()


def is_whole(context: Any) -> bool:
    """Whether a stream of requests that has ended was ended by the caller, and did not break.

    To a Python server both look the same at first: the last message is followed by none, and only the next event may
    say that the call was broken off. So an operation of our own is put behind that event, and waited for.
    """
    try:
        context.send_initial_metadata(())
    except Exception:  # noqa: BLE001 (grpcio raises a bare Exception for a call that is over)
        return False
    while "send_initial_metadata" in context._state.due:
        time.sleep(0.0001)
    return bool(context.is_active())


@dataclass(frozen=True, slots=True)
class Method:
    """``answer(request, call)``: a message, or an iterator of messages for "stream out"; the request is an iterator
    for "stream in". ``takes`` is the request's class. ``in_transaction`` says that it may be a part of one."""

    takes: Any
    answer: Callable[[Any, Call], Any]
    shape: Shape = "unary"
    in_transaction: bool = False


class Door:
    """One port of the server: the main pachd, or the sidecar of a worker."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        is_sidecar: bool,
        tokens: frozenset[str],
        transact: Callable[[str, str, Any, Call], Any],
    ) -> None:
        self._methods = methods
        self._is_sidecar = is_sidecar
        self._tokens = tokens
        self._transact = transact
        self._closing = threading.Event()
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="pachd"),
            handlers=[_Handlers(self)],
            options=[
                ("grpc.max_receive_message_length", MOST_BYTES),
                ("grpc.max_send_message_length", MOST_BYTES),
                ("grpc.so_reuseport", 0),
            ],
        )
        self.port = 0

    def open(self, port: int) -> int:
        """Listen on ``port`` (0: any free one) of this machine alone; returns the port."""
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
        return self.port

    def close(self) -> None:
        """Break off all calls and stop listening."""
        self._server.stop(grace=None).wait()

    def handler(self, name: str) -> Any:
        """grpcio's handler of one call; None for one that there is not."""
        method = self._methods.get(name)
        if method is None:
            return None
        make = {
            "unary": grpc.unary_unary_rpc_method_handler,
            "stream out": grpc.unary_stream_rpc_method_handler,
            "stream in": grpc.stream_unary_rpc_method_handler,
        }[method.shape]
        answer = self._stream(method) if method.shape == "stream out" else self._one(name, method)
        return make(answer, request_deserializer=method.takes.FromString, response_serializer=bytes)

    def _one(self, name: str, method: Method) -> Callable[[Any, Any], Any]:
        def answer(request: Any, context: Any) -> Any:
            try:
                call = self._call(context)
                if call.transaction and method.in_transaction:
                    return self._transact(call.transaction, name, request, call)
                if call.transaction and method.shape == "stream in":
                    raise RefusedError(f"{name} is not allowed in a transaction")
                return method.answer(request, call)
            except (SpoutgenError, UnavailableError) as error:
                return context.abort(*_status(error))

        return answer

    def _stream(self, method: Method) -> Callable[[Any, Any], Iterator[Any]]:
        def answer(request: Any, context: Any) -> Iterator[Any]:
            try:
                yield from method.answer(request, self._call(context))
            except (SpoutgenError, UnavailableError) as error:
                context.abort(*_status(error))

        return answer

    def _call(self, context: Any) -> Call:
        metadata = dict(context.invocation_metadata())
        # v2.11.6:src/auth/auth.go, ErrNotSignedIn and ErrBadToken.
        token = metadata.get("authn-token")
        if self._tokens and token is None:
            raise UnauthenticatedError("no authentication token (try logging in)")
        if self._tokens and token not in self._tokens:
            raise UnauthenticatedError("provided auth token is corrupted or has expired (try logging in again)")
        return Call(self._is_sidecar, metadata.get("pach-transaction", ""), context)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, door: Door) -> None:
        self._door = door

    def service(self, details: Any) -> Any:
        return self._door.handler(details.method.lstrip("/"))


def _status(error: Exception) -> tuple[Any, str]:
    """An error as gRPC says it; what pachd returns as a plain Go error is UNKNOWN."""
    codes = {
        NotFoundError: grpc.StatusCode.NOT_FOUND,
        AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
        UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
        UnimplementedError: grpc.StatusCode.UNIMPLEMENTED,
        UnavailableError: grpc.StatusCode.UNAVAILABLE,
    }
    code = codes.get(type(error), grpc.StatusCode.UNKNOWN)
    return code, reason(error) if isinstance(error, SpoutgenError) else str(error)
