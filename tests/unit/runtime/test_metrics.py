"""The numbers of a spout, as Prometheus and a probe get them."""

import http.client
import re
import socket
from contextlib import contextmanager

import pytest
from spout.fatal import FatalError
from spout.metrics import COUNTERS, GAUGES, Meter, serve
from spout.records import Lag

from .clocks import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(clock)


def values(meter):
    return {
        name.removeprefix("spout_"): float(value)
        for name, value in (line.split(" ") for line in meter.text().splitlines() if not line.startswith("#"))
    }


def test_all_counters_are_there_from_the_start(meter):
    assert values(meter) == {**dict.fromkeys(COUNTERS, 0), "source_up": 0}


def test_what_was_done_is_counted(meter, clock):
    meter.source_is_up(True)
    meter.wrote(3, 600)
    meter.wrote(2, 400)
    meter.add("commits_total")
    meter.behind(Lag(12, 3.5))
    meter.marked()
    clock.sleep(1.25)
    found = values(meter)
    assert found | {"retries_total": 0, "errors_total": 0} == found
    expected = {"records_total": 5, "bytes_total": 1000, "batches_total": 2, "commits_total": 1}
    gauges = {"lag_records": 12, "lag_seconds": 3.5, "marker_age_seconds": 1.25, "source_up": 1}
    assert found | expected | gauges == found
    assert set(gauges) == set(GAUGES)


def test_it_is_the_text_format(meter):
    meter.behind(Lag(None, None))
    for head, kind, value in zip(*[iter(meter.text().splitlines())] * 3, strict=True):
        name = re.fullmatch(r"# HELP (spout_[a-z_]+) .+", head)[1]
        assert re.fullmatch(rf"# TYPE {name} (counter|gauge)", kind)
        assert name.endswith("_total") == kind.endswith("counter")
        assert re.fullmatch(rf"{name} [0-9.]+", value)
    assert "lag" not in meter.text()
    assert meter.text().endswith("\n")


def test_only_waiting_records_wait(meter, clock):
    clock.sleep(100)
    assert meter.waited() == 0
    meter.waits()
    clock.sleep(5)
    meter.waits()
    assert meter.waited() == 5
    meter.wrote(1, 1)
    assert meter.waited() == 0


def test_records_that_the_source_has_and_does_not_give_wait_too(meter, clock):
    meter.behind(Lag(3))
    clock.sleep(5)
    meter.behind(Lag(4))
    meter.behind(None)
    meter.behind(Lag(None, 7.0))
    assert meter.waited() == 5


def test_what_was_ahead_and_turned_out_to_be_nothing_does_not_wait(meter, clock):
    meter.behind(Lag(2))
    clock.sleep(5)
    meter.behind(Lag(0))
    assert meter.waited() == 0


@contextmanager
def served(meter, stalled_after=60.0):
    server = serve(meter, 0, stalled_after, "127.0.0.1")
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), text


def test_they_are_served(meter):
    with served(meter) as port:
        assert get(port, "/metrics") == (200, "text/plain; version=0.0.4; charset=utf-8", meter.text())
        assert get(port, "/metrics?a=b")[0] == 200
        assert get(port, "/")[0] == 404


def test_healthz_says_no_once_records_wait_for_too_long(meter, clock):
    with served(meter, stalled_after=60) as port:
        assert get(port, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
        meter.waits()
        clock.sleep(60)
        assert get(port, "/healthz")[0] == 200
        clock.sleep(1)
        status, _, text = get(port, "/healthz")
        assert (status, text) == (503, "there are records, and nothing was written for 61 s\n")
        meter.wrote(1, 1)
        assert get(port, "/healthz")[0] == 200


def test_a_client_that_goes_away_is_no_news(meter, capfd):
    with served(meter) as port:
        for words in (b"", b"GET /metrics", b"nonsense\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(words)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert get(port, "/metrics")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_port_in_use_is_a_clear_error(meter):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(FatalError, match=f"port {port}: Address already in use.*metrics.port"):
            serve(meter, port, 60, "127.0.0.1")
