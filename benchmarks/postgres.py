"""A table of a million rows into files: `spoutgen run` in mode cursor, beside dlt and beside a Singer tap and target.

All three are commands as a user runs them, from the start of the process to the last file on disk; ours also makes a
commit and a durable marker of every batch. The peers get environments of their own: target-jsonl wants jsonschema 2.6.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers.kill_story import LocalSpout  # noqa: E402
from servers.postgres import HOST, PASSWORD, Cluster, binaries, running_cluster  # noqa: E402

ROWS = int(os.environ.get("SPOUTGEN_BENCH_ROWS", "1000000"))
ENVIRONMENTS = Path(sys.prefix) / "bench-peers"
DLT = ("dlt==1.31.0", "sqlalchemy==2.1.9", "psycopg2-binary==2.9.13")
TAP = ("meltanolabs-tap-postgres==0.10.0",)
TARGET = ("target-jsonl==0.1.4",)

TABLE = f"""
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12, 2) NOT NULL,
    placed timestamptz NOT NULL, paid boolean NOT NULL, note text);
INSERT INTO orders SELECT n, 'customer ' || n, n * 1.01, '2026-01-01'::timestamptz + n * interval '1 second', n % 2 = 0,
    CASE WHEN n % 7 = 0 THEN 'a "quoted" note' END FROM generate_series(1, {ROWS}) n;
VACUUM ANALYZE orders;
CREATE ROLE spout LOGIN PASSWORD '{PASSWORD}';
GRANT SELECT ON orders TO spout;
"""
SPEC = """
version: 1
name: orders
image: orders:v1
source: {{type: postgres, mode: cursor, host: {host}, port: {port}, database: postgres, user: spout,
  password_env: DB_PASSWORD, tls: false, table: orders, key: [id], poll: 100ms}}
marker: mymark
batch: {{records: {records}}}
secrets: [{{name: db, key: password, env: DB_PASSWORD}}]
"""
DLT_SCRIPT = """
import sys, dlt
from dlt.sources.sql_database import sql_table
url, folder = sys.argv[1:]
pipeline = dlt.pipeline("orders", pipelines_dir=folder + "/state", dataset_name="shop",
                        destination=dlt.destinations.filesystem("file://" + folder + "/files"))
pipeline.run(sql_table(url, table="orders", chunk_size=10_000), loader_file_format="jsonl")
"""

Row = tuple[str, str, str, bool]


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    bin_folder = binaries()
    if bin_folder is None:
        return [("postgres", "no server is installed", ">= 2.00x", False)]
    with running_cluster(bin_folder) as cluster, tempfile.TemporaryDirectory() as name:
        with cluster.connect() as server:
            for statement in TABLE.split(";\n"):
                server.execute(statement) if statement.strip() else None
        folder = Path(name)
        ours = {records: timed(folder, lambda at, n=records: spoutgen(cluster, at, n)) for records in (1_000, 10_000)}
        peers = {
            "dlt": timed(folder, lambda at: dlt(cluster, at)),
            "Singer": timed(folder, lambda at: singer(cluster, at)),
        }
    return [
        (
            f"postgres cursor, {records} a batch, beside {peer}",
            f"{theirs / seconds:.2f}x ({ROWS / seconds:,.0f} and {ROWS / theirs:,.0f} rows/s)",
            ">= 2.00x",
            theirs / seconds >= 2,
        )
        for records, seconds in ours.items()
        for peer, theirs in peers.items()
    ]


def timed(folder: Path, work: Callable[[Path], int]) -> float:
    """Seconds of one run in a folder of its own; all rows must be there afterwards."""
    place = Path(tempfile.mkdtemp(dir=folder))
    began = time.perf_counter()
    rows = work(place)
    seconds = time.perf_counter() - began
    assert rows == ROWS, f"{rows} rows"
    return seconds


def spoutgen(cluster: Cluster, folder: Path, records: int) -> int:
    """A spout on the local worker, until every row is committed."""
    spec = SPEC.format(host=HOST, port=cluster.port, records=records)
    with LocalSpout(spec, folder, {"DB_PASSWORD": PASSWORD}) as spout:
        spout.start("--commits", str(ROWS // records))
        while spout.is_running():
            time.sleep(0.02)
        spout.stop()
        return sum(spout.lines().values())


def dlt(cluster: Cluster, folder: Path) -> int:
    """dlt's own sql_table into JSON lines on the local disk."""
    (folder / "load.py").write_text(DLT_SCRIPT)
    _run(
        [environment("dlt", DLT) / "python", "load.py", url(cluster), str(folder)],
        folder,
        DATA_WRITER__DISABLE_COMPRESSION="true",
    )
    return lines(folder / "files/shop/orders")


def singer(cluster: Cluster, folder: Path) -> int:
    """tap-postgres piped into target-jsonl."""
    (folder / "tap.json").write_text(json.dumps({"sqlalchemy_url": url(cluster), "filter_schemas": ["public"]}))
    (folder / "out").mkdir()
    (folder / "target.json").write_text(json.dumps({"destination_path": str(folder / "out")}))
    tap, target = environment("tap", TAP) / "tap-postgres", environment("target", TARGET) / "target-jsonl"
    catalog = json.loads(_run([tap, "--config", "tap.json", "--discover"], folder))
    for stream in catalog["streams"]:
        for part in stream["metadata"]:
            part["metadata"]["selected"] = True
    (folder / "catalog.json").write_text(json.dumps(catalog))
    pipe = f"{tap} --config tap.json --catalog catalog.json | {target} -c target.json > state"
    _run(["bash", "-c", f"set -o pipefail; {pipe}"], folder)
    return lines(folder / "out")


def url(cluster: Cluster) -> str:
    """The same login for both peers; nobody's rows are encrypted."""
    return f"postgresql+psycopg2://spout:{PASSWORD}@{HOST}:{cluster.port}/postgres?sslmode=disable"


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The programs of an environment with these packages, made once."""
    folder = ENVIRONMENTS / name
    if not (folder / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *packages], check=True)
        (folder / "done").touch()
    return folder / "bin"


def lines(folder: Path) -> int:
    """How many lines all files of a folder have."""
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.jsonl"))


def _run(command: list[object], folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **variables, "RUNTIME__DLTHUB_TELEMETRY": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
