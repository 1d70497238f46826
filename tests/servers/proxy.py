"""A TCP proxy between a spout and its server: it drops, resets, refuses, stalls and slows down connections.

    with Proxy(("127.0.0.1", 5432)) as proxy:
        ...connect to proxy.port...
        proxy.reset()

Its port is there before its server is, so that a server which tells clients where to find it can be told the proxy's.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

_PIECE = 1 << 16
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset


class Proxy:
    """Listens on 127.0.0.1, ``port``; ``upstream`` is the (host, port) of the server and may be set later."""

    def __init__(self, upstream: tuple[str, int] | None = None, port: int = 0) -> None:
        self.upstream = upstream
        self.connections = 0
        """How many connections were ever accepted."""
        self.passed = 0
        """How many bytes were passed on, both ways together."""
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._flows = threading.Event()
        self._flows.set()
        self._rate: float | None = None
        self._is_refusing = False
        self._listener = _listener(port)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def drop(self) -> None:
        """End every connection in order, as a server that is stopped does; new ones are accepted."""
        self._end(is_reset=False)

    def reset(self) -> None:
        """End every connection by a reset, as a firewall or a machine that was lost does; new ones are accepted."""
        self._end(is_reset=True)

    def refuse(self) -> None:
        """From now on nobody listens here, and every connection is dropped: the server is down."""
        self._is_refusing = True
        # A thread that waits in accept() keeps a closed listener alive; shutdown() wakes it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def listen(self) -> None:
        """The end of ``refuse``."""
        self._listener = _listener(self.port)
        self._is_refusing = False
        self._start(self._accept, self._listener)

    def stall(self) -> None:
        """From now on no byte is passed on, either way, and no connection ends: the network is gone."""
        self._flows.clear()

    def slow_down(self, bytes_a_second: float | None) -> None:
        """Pass on so many bytes a second and direction; None is as fast as they come."""
        self._rate = bytes_a_second

    def go_on(self) -> None:
        """The end of ``stall`` and of ``slow_down``."""
        self._rate = None
        self._flows.set()

    def close(self) -> None:
        """End it all."""
        if not self._is_refusing:
            self.refuse()
        self.go_on()
        self.drop()
        for thread in self._threads:
            thread.join(5.0)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, name="proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            assert self.upstream, "the proxy has no server yet"
            server = socket.create_connection(self.upstream)
        except OSError:  # what a client sees of a server that is down behind its load balancer
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.connections += 1
            self._pairs.append((client, server))
            is_late = self._is_refusing
        self._start(self._pass_on, client, server)
        self._start(self._pass_on, server, client)
        if is_late:
            self.drop()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                self._flows.wait()
                for piece in self._pieces(data):
                    with self._lock:
                        self.passed += len(piece)
                    target.sendall(piece)
        # One side has ended. If that was not our own doing, the other one is told so.
        if self._take_out(source):
            _shut(socket.SHUT_RDWR, source, target)
        source.close()
        target.close()

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """``data`` at once, or piece by piece, each when it is due."""
        while data:
            rate = self._rate
            size = len(data) if rate is None else max(1, int(rate / 20))
            if rate is not None:
                time.sleep(size / rate)
            yield data[:size]
            data = data[size:]

    def _take_out(self, end: socket.socket) -> bool:
        with self._lock:
            before = len(self._pairs)
            self._pairs = [pair for pair in self._pairs if end not in pair]
            return len(self._pairs) < before

    def _end(self, is_reset: bool) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            if not is_reset:
                _shut(socket.SHUT_RDWR, *pair)
                continue
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            # Sends nothing, but wakes the threads that read; they close, and that is what sends the reset.
            _shut(socket.SHUT_RD, *pair)


def _shut(how: int, *ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(how)


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
