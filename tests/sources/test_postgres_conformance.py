"""The conformance kit over both modes, on a real server: two dozen rows that are there already."""

import pytest
from postgres_rig import Shop
from servers.postgres import HOST, PASSWORD

from spoutgen.conformance.subject import subject
from spoutgen.conformance.suite import CHECKS, run_checks
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import read_spec
from spoutgen.project.render import render
from spoutgen.project.tree import write_tree
from spoutgen.spec import load_text

MODES = {
    "cursor": "mode: cursor, table: orders, key: [id], poll: 20ms",
    "log": "mode: log, slot: orders, publications: [orders]",
}
# Kills, and memory with more than a few rows, are what test_postgres_stories.py is about.
NAMES = [check.name for check in CHECKS if not check.name.startswith("kill-") and check.name != "memory"]


@pytest.fixture(scope="module", params=list(MODES))
def found(request, postgres, tmp_path_factory):
    shop = Shop(postgres)
    shop.run("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    shop.run("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")
    shop.run("INSERT INTO orders SELECT number, 'note ' || number FROM generate_series(1, 30) number")
    shop.admin.close()
    folder = tmp_path_factory.mktemp("project")
    login = f"host: {HOST}, port: {postgres.port}, database: shop, user: spout, password_env: DB_PASSWORD"
    text = f"""
version: 1
name: aspout
image: aspout:v1
source: {{type: postgres, {login}, tls_ca_file: {postgres.ca_file}, {MODES[request.param]}}}
marker: mymark
secrets: [{{name: db, key: password, env: DB_PASSWORD}}]
"""
    write_tree(render(load_text(text, "spout.yaml")).tree, folder)
    environment = {"PATH": "/usr/bin:/bin"}
    spec = read_spec(folder / "pipeline.json")
    with subject(folder, spec, Secrets({"DB_PASSWORD": PASSWORD}), environment, seconds=2.0) as made:
        yield request.param, {result.name: result for result in run_checks(made, NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_promise(found, name):
    mode, results = found
    if (mode, name) == ("log", "acks"):  # what is acknowledged may be gone from the log
        assert results[name].outcome == "skipped", results[name]
    else:
        assert results[name].outcome == "ok", results[name]
