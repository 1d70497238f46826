"""Credentials are found by name and by shape, and never shown."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import SpecError
from spoutgen.report import as_json, as_text
from spoutgen.spec import load_text
from spoutgen.spec.credentials import is_credential_name, shape


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PASSWORD",
            "DB_PASSWORD",
            "dbPassword",
            "passwd",
            "MYSQL_PWD",
            "SMTP_PASS",
            "TOKEN",
            "GITHUB_TOKEN",
            "authToken",
        ),
        *(
            "SECRET",
            "CLIENT_SECRET",
            "api_key",
            "apiKey",
            "APIKEY",
            "AWS_SECRET_ACCESS_KEY",
            "ACCESS_KEY",
            "PRIVATE_KEY",
        ),
        *("deploy-token", "sasl.password", "PASSWORD_2", "credentials", "PASSPHRASE", "accountKey"),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PASSWORD_FILE",
            "TOKEN_URL",
            "SECRET_NAME",
            "TOKEN_TTL",
            "PWD",
            "PASS",
            "KEY",
            "KEYBOARD",
            "MONKEY",
            "TOKENIZER",
        ),
        *("AUTHOR", "BYPASS", "COMPASS", "PRIMARY_KEY", "AWS_ACCESS_KEY_ID", "", "_", "LOG_LEVEL", "symbol"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_credential_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "key=AKIAIOSFODNN7EXAMPLE;",
        "-----BEGIN PRIVATE KEY-----\nx",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ghp_" + "a" * 36,
        "glpat-" + "a" * 20,
        "xoxb-1234567890-abc",
        "AIza" + "b" * 35,
        "sk_live_" + "c" * 24,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
        "postgres://user:pw@host/db",
        "https://:pw@host",
        "Server=x;Password=pw;",
        "https://host/?x=1&password=pw",
    ],
)
def test_shapes_of_credentials(text: str) -> None:
    assert shape(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://host:5432/db",
        "https://user@host/a:b@c",
        "AKIA",
        "-----BEGIN CERTIFICATE-----",
        "eyJ",
        "password=",
        "a:b@c",
    ],
)
def test_shapes_of_other_things(text: str) -> None:
    assert shape(text) is None


def test_nothing_secret_is_nothing() -> None:
    text = json.dumps({"PASSWORD": "", "USE_TOKEN": "true", "SECRET": "0"})
    load_text(
        "version: 1\nname: x\nimage: x:1\nsource: {type: symbol, symbol: x}\nmarker: m\nenv: " + text, "spout.yaml"
    )


SECRET = st.text("abcXYZ019$%#*!&@{[|>-'\" :\\", min_size=1, max_size=12).map(lambda text: f"Hush{text}Hush")
AROUND = st.sampled_from(
    [
        "env:\n  DB_PASSWORD: §\nbad: x\n",
        "env: {A: x, DB_PASSWORD: §, 1B: y}\nname: no good\n",
        "env:\n  DB_PASSWORD:\n    §\n  B-: x\n",
        "env:\n  DB_PASSWORD: '§'\n  DB_PASSWORD: §\n",
        "source:\n  type: symbol\n  api_key: §\n",
        'env:\n  URL: "ftp://me:§@host/x"  # c\n',
        "password: §\n",
        "pipeline: {metadata: {labels: {token: §}}}\n",
        "env:\n  DB_PASSWORD: 'x §\n",
        "env:\n  TOKEN: |\n    §\n    §\n  B-: x\n",
    ]
)


@given(AROUND, SECRET)
def test_no_report_ever_holds_a_credential(text: str, secret: str) -> None:
    if "://" in text:
        secret = re.sub("[ /]", "", secret)  # which no URL's password holds
    try:
        load_text(text.replace("§", secret), "spout.yaml")
    except SpecError as error:
        for report in (as_text(error.diagnostics), as_json(error.diagnostics), str(error)):
            assert "Hush" not in report


def test_settings_are_masked_too() -> None:
    with pytest.raises(SpecError) as caught:
        load_text("version: 1\n", "spout.yaml", [("env.DB_PASSWORD", "Hush"), ("source.token", "Hush")])
    assert "Hush" not in as_text(caught.value.diagnostics)
    assert "env.DB_PASSWORD=***" in as_text(caught.value.diagnostics)
