"""A shell with a local cluster of its own, and one project in it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
SPEC = """\
version: 1
name: dots
image: dots:v1
source: {{type: symbol, symbol: ".", interval: {interval}}}
marker: mymark
{more}
"""


class Shell:
    """Runs ``spoutgen`` in ``folder`` as a user does."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.home = folder / "cluster"
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "SPOUTGEN_HOME": str(self.home), **environment}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "spoutgen", *arguments]

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def out(self, *arguments: str) -> str:
        return self.run(*arguments).stdout

    def lines(self, *arguments: str) -> list[str]:
        return self.out(*arguments).splitlines()

    def refused(self, *arguments: str, status: int = 1) -> str:
        """What a command that fails says; a traceback is never part of it."""
        said = self.run(*arguments, status=status).stderr
        assert "Traceback" not in said
        return said

    def new(self, folder: str = "dots", interval: str = "20ms", more: str = "") -> Path:
        """The project of a spout ``dots``; made here and not by a command, which saves half a second."""
        spec = SPEC.format(interval=interval, more=more)
        create(render(load_text(spec, "spout.yaml")), self.folder / folder)
        return self.folder / folder

    def start(self, *arguments: str) -> "Running":
        return Running(self, arguments)


class Running:
    """A command that runs meanwhile; its output is gathered line by line."""

    def __init__(self, shell: Shell, arguments: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            shell.command(*arguments),
            cwd=shell.folder,
            env=shell.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()

    def wait_for(self, words: str) -> str:
        """Wait for a line with these words and return it."""
        with self._news:
            assert self._news.wait_for(lambda: any(words in line for line in self.lines), PATIENCE), self.lines
            return next(line for line in self.lines if words in line)

    def end(self, signal_: int = signal.SIGINT) -> int:
        """Send a signal, wait for the end, return the status."""
        self.process.send_signal(signal_)
        status = self.process.wait(PATIENCE)
        self._reader.join()
        return status

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        self._reader.join()
