"""The runtime as a process, with its own source or with the test source ``numbers``."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).parents[3] / "cookiecutter-spout" / "{{cookiecutter.name}}"

SYMBOL = {
    "version": 1,
    "name": "spoutmarker",
    "source": {"type": "symbol", "symbol": ".", "interval": 0.001},
    "marker": {"name": "mymark"},
    "output": {"path": "output", "format": "lines"},
    "batch": {"records": 1, "bytes": 8 << 20, "wait": 5},
}

NUMBERS = {
    **SYMBOL,
    "source": {"type": "numbers", "last": 300},
    "output": {"path": "data/{first}-{last}", "format": "lines"},
    "batch": {"records": 10, "bytes": 8 << 20, "wait": 0},
}

# A source that can be read again from any position: 1, 2, ... last, each as a line of a length of its own. How many a
# read returns is chance, so batches end in other places each time.
NUMBERS_SPOUT = """
import random, sys, time
sys.path.insert(0, sys.argv[1])
from spout.__main__ import main
from spout.marker import JsonShape
from spout.records import Record
from spout.sources import KINDS, Kind

class Numbers:
    identity, needs_ack = "numbers", False
    def __init__(self, options, warn): self.last = options["last"]
    def open(self, position): self.at = position or 0
    def ack(self, position): pass
    def close(self): pass
    def read(self, limit, timeout):
        first = self.at + 1
        self.at = min(limit.until or self.last, self.at + random.randint(1, limit.records))
        if self.at < first: time.sleep(timeout)
        return [Record(b"%d %s" % (n, bytes(48 + n % 10 for _ in range(n * 37 % 5000))), n, f"{n:06}")
                for n in range(first, self.at + 1)]

KINDS["numbers"] = Kind(Numbers, lambda config, identity: JsonShape(config.marker, config.name, identity))
{change}
sys.exit(main())
"""


class Spout:
    """A running spout. ``change`` is code that changes the runtime before it starts (to see a test fail)."""

    def __init__(self, root: Path, config: Any, change: str = "", environ: dict[str, str] | None = None) -> None:
        self.log = root / "log"
        command = [sys.executable, str(RUNTIME / "main.py")]
        if change or (isinstance(config, dict) and config["source"]["type"] == "numbers"):
            command = [sys.executable, "-c", NUMBERS_SPOUT.replace("{change}", change), str(RUNTIME)]
        text = config if isinstance(config, str) else json.dumps(config, ensure_ascii=False)
        env = {"SPOUT_CONFIG": text, "SPOUT_PFS_ROOT": str(root), "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, if it is still there."""
        self._process.send_signal(number)

    def wait(self, deadline: float = 20.0) -> int:
        """How it ended: the exit status, or minus the signal."""
        return self._process.wait(deadline)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its whole log lines so far, those of earlier spouts on the same root too."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def peak_memory(self) -> int:
        """The most it ever had resident, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])


def end(spout: Spout) -> int:
    """Kill it, if that is not done yet, and see it gone."""
    if spout._process.poll() is None:
        spout.kill()
    return spout.wait()
