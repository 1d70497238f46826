"""examples/postgres, as its README tells it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_rig import Shop, until

EXAMPLE = Path(__file__).parents[2] / "examples/postgres"
PASSWORD = "change-me"  # the example's own


@pytest.fixture
def shop(postgres):
    shop = Shop(postgres)
    shop.run("DROP OWNED BY spout")
    shop.run("DROP ROLE spout")
    for statement in (EXAMPLE / "setup.sql").read_text().split(";\n"):
        shop.run(statement)
    yield shop
    shop.wait_until_free()
    shop.admin.close()


@pytest.fixture
def spoutgen(tmp_path):
    environment = {**os.environ, "SPOUTGEN_HOME": str(tmp_path / "cluster"), "DB_PASSWORD": PASSWORD}

    def run(*arguments):
        command = [sys.executable, "-m", "spoutgen", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    return run


def run_here(spoutgen, shop, project, commits):
    here = ["source.host=127.0.0.1", f"source.port={shop.cluster.port}", "source.tls=false", "batch.wait=100ms"]
    spoutgen("run", project, "--commits", commits, *(part for one in here for part in ("--set", one)))


def test_rows(shop, spoutgen):
    spoutgen("new", EXAMPLE / "orders.yaml")
    run_here(spoutgen, shop, "orders", 1)
    lines = spoutgen("local", "get", "file", "orders@master:/rows/" + "0" * 19 + "1").splitlines()
    assert [json.loads(line)["customer"] for line in lines] == ["Ada", "Grace", "Edsger"]
    shop.run("INSERT INTO orders (customer, amount) VALUES ('Barbara', 3.20)")
    run_here(spoutgen, shop, "orders", 1)
    listed = spoutgen("local", "list", "file", "orders@master:/rows").split()
    assert [word for word in listed if word.startswith("/rows/")] == [f"/rows/{number:020}" for number in (1, 4)]


def test_changes(shop, spoutgen):
    spoutgen("new", EXAMPLE / "changes.yaml")
    shop.run("UPDATE orders SET amount = 8 WHERE customer = 'Grace'")
    run_here(spoutgen, shop, "order-changes", 1)
    (path,) = [
        word
        for word in spoutgen("local", "list", "file", "order-changes@master:/changes/public.orders").split()
        if word.startswith("/")
    ]
    change = json.loads(spoutgen("local", "get", "file", f"order-changes@master:{path}"))
    assert (change["op"], change["after"]["amount"]) == ("update", 8)
    until(lambda: not shop.run("SELECT 1 FROM pg_replication_slots WHERE active"), "the slot is free")
