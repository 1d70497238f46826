"""Log lines: one JSON object each, ASCII only, and no credential in any of them."""

import io
import json

import pytest
from spout.fatal import brief
from spout.log import Log, credentials


def line_of(hidden, event, **facts):
    stream = io.StringIO()
    Log(stream, hidden, clock=lambda: 1772366400.25).warning(event, **facts)
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().isascii()
    return json.loads(stream.getvalue())


def test_a_line():
    assert line_of([], "batch", records=3, seconds=0.5, last="é\n") == {
        "time": "2026-03-01T12:00:00.250Z",
        "level": "warning",
        "event": "batch",
        "records": 3,
        "seconds": 0.5,
        "last": "é\n",
    }


@pytest.mark.parametrize("secret", ["hunter2hunter2", 'qu"ote\\', "line\nfeed", "gé😀m", "true", "2026"])
def test_credentials_never_show_and_the_line_stays_json(secret):
    line = line_of([secret], "source_lost", detail=f"login with {secret}: no", where=["a", f"<{secret}>"], flag=True)
    assert line["detail"] == "login with ***: no"
    assert line["where"] == ["a", "<***>"]
    assert (line["flag"], line["event"]) == (True, "source_lost")


def test_variables_named_like_credentials_are_hidden():
    environ = {
        "AMAZON_SECRET": "amazon-secret",
        "KAFKA_PASSWORD": "kafka-password",
        "db_pw": "db-password",
        "GOOGLE_CRED": "longer-google-cred",
        "API_KEY": "the-api-key",
        "AUTH_ON": "yes",
        "PWD": "/app",
        "PATH": "/usr/bin",
        "PPS_PIPELINE_NAME": "spoutmarker",
    }
    hidden = credentials(environ)
    assert set(hidden) == {"amazon-secret", "kafka-password", "db-password", "longer-google-cred", "the-api-key"}
    assert hidden[0] == "longer-google-cred"


def test_one_secret_inside_another_is_hidden_whole():
    assert line_of(credentials({"A_TOKEN": "abcd", "B_TOKEN": "abcdefgh"}), "e", x="abcdefgh")["x"] == "***"


@pytest.mark.parametrize("stream", [None, open("/dev/full", "w")])  # noqa: PTH123, SIM115
def test_a_log_that_nobody_takes_stops_nothing(stream):
    log = Log(stream)
    log.info("a")
    log.fatal("b")


def test_brief():
    assert brief("x" * 80) == "x" * 80
    assert brief("x" * 81) == "x" * 77 + "..."
    assert brief(5) == "5"


def test_the_variables_that_the_source_s_options_name_are_hidden():
    environ = {"DB_LOGIN": "plain-named", "OTHER": "not-named"}
    assert credentials(environ, ["DB_LOGIN", "MISSING"]) == ["plain-named"]
    assert credentials(environ, iter(["DB_LOGIN"])) == ["plain-named"]


def test_a_credential_is_hidden_as_a_url_and_python_write_it_too():
    hidden = credentials({"A_TOKEN": "p@ss/w\\rd"})
    line = line_of(hidden, "source_lost", detail="amqp://me:p%40ss%2Fw%5Crd@host, 'p@ss/w\\\\rd', p@ss/w\\rd")
    assert line["detail"] == "amqp://me:***@host, '***', ***"


def test_the_lines_of_a_key_are_hidden_one_by_one():
    hidden = credentials({"TLS_KEY": "-----BEGIN KEY-----\nMIIabcdef\n\nxyz\n"})
    assert line_of(hidden, "e", detail="cannot parse MIIabcdef")["detail"] == "cannot parse ***"


def test_a_credential_that_was_cut_leaves_no_beginning():
    secret = "hunter2hunter2"
    for width in range(20, 40):
        detail = brief(f"no login with {secret} at all, sorry", width)
        line = line_of([secret], "e", detail=f"{detail} (retrying)")
        assert "hunt" not in line["detail"]
        assert line["detail"].endswith("(retrying)")


def test_credentials_inside_of_mappings_and_tuples_are_hidden():
    line = line_of(["hunter2"], "e", facts={"hunter2": ["x hunter2"], "n": 1}, pair=("hunter2", 2))
    assert (line["facts"], line["pair"]) == ({"***": ["x ***"], "n": 1}, ["***", 2])
