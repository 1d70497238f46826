"""The proxy does to a connection what it says, so that a test which survives it has survived something."""

import socket
import threading
import time

import pytest
from proxy import Proxy


@pytest.fixture
def proxy():
    """A proxy before a server that says everything twice."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data * 2)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    with Proxy(server.getsockname()) as made:
        yield made
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def client(proxy):
    with connect(proxy) as made:
        assert said(made, b"a") == b"aa"
        yield made


def connect(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def said(client, data):
    client.sendall(data)
    answer = b""
    while len(answer) < 2 * len(data):
        answer += client.recv(1 << 16)
    return answer


def test_it_passes_on_and_counts(proxy, client):
    assert said(client, b"b" * 300_000) == b"b" * 600_000
    assert (proxy.connections, proxy.passed) == (1, 900_003)


def test_drop_is_an_end_in_order(proxy, client):
    proxy.drop()
    assert client.recv(1) == b""
    with connect(proxy) as again:
        assert said(again, b"c") == b"cc"


def test_reset_is_a_reset(proxy, client):
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(proxy) as again:
        assert said(again, b"c") == b"cc"


def test_refuse_and_listen(proxy, client):
    proxy.refuse()
    assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.listen()
    with connect(proxy) as again:
        assert said(again, b"c") == b"cc"


def test_stall_and_go_on(proxy, client):
    proxy.stall()
    client.sendall(b"d")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    proxy.go_on()
    client.settimeout(20)
    assert client.recv(2) == b"dd"


def test_slow_down(proxy, client):
    proxy.slow_down(100_000)
    began = time.monotonic()
    said(client, b"e" * 20_000)
    # A lower bound, which no busy machine can break: 40,000 bytes come back at 100,000 a second.
    assert time.monotonic() - began > 0.3


def test_a_server_that_is_down_ends_the_connection(proxy):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        proxy.upstream = gone.getsockname()
    with connect(proxy) as client:
        assert client.recv(1) == b""
