"""The worker of a 2.x spout: runs the user code again and again, and does nothing else.

There is no pipe and no scratch folder (v2.11.6:src/server/worker/pipeline/spout/spout.go:12). The user code writes
through the sidecar, and is run again after 5 to 22 s whatever the failure, never after a good end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from spoutgen.local.backoff import Backoff
from spoutgen.local.environment import Secrets, common_environment
from spoutgen.local.events import CommitFinished, Event, Started, Stopped
from spoutgen.local.home import Home
from spoutgen.local.model import Commit
from spoutgen.local.pachd import Pachd, serve
from spoutgen.local.pachd.names import split
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.tail import marker_tail
from spoutgen.local.usercode import Command, UserCode

# v2.11.6:src/server/worker/worker.go:168 (10 s at first, 15 s at most, off by half of it), never reset by success.
UPSTREAM = Backoff(10, 15)


def user_environment(
    pipeline: Pipeline, sidecar_port: int, secrets: Secrets, environment: Mapping[str, str]
) -> dict[str, str]:
    """What the user code finds in its environment (v2.11.6:src/server/pps/server/worker_rc.go:190-330).

    On a cluster the SDK finds the sidecar in /pachctl/config.json, and here in the variables that it looks at next.
    """
    project, name = split(pipeline.name)
    own = {
        "PACH_IN_WORKER": "true",
        "PACH_NAMESPACE": "default",
        "PPS_PROJECT_NAME": project,
        "PPS_PIPELINE_NAME": name,
        "PPS_SPEC_COMMIT": pipeline.spec_commit,
        "PEER_PORT": str(sidecar_port),
        "PACHD_PEER_SERVICE_HOST": "127.0.0.1",
        "PACHD_PEER_SERVICE_PORT": str(sidecar_port),
    }
    return common_environment(pipeline.spec, own, secrets, environment)


class Worker:
    """Serves the store and runs a spout on it until it is told to stop, in the thread that calls `run`."""

    def __init__(
        self,
        home: Home,
        pipeline: Pipeline,
        command: Callable[[int], Command],
        on_event: Callable[[Event], None],
        backoff: Backoff = UPSTREAM,
        checkpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``command`` is asked for what to run, given the sidecar's port.

        ``on_event`` is called from several threads, and may call `stop`; ``checkpoint`` is the server's.
        """
        self._home = home
        self._pipeline = pipeline
        self._command = command
        self._on_event = on_event
        self._backoff = backoff
        self._checkpoint = checkpoint
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the worker end. May be called from any thread."""
        self._stopped.set()

    def run(self) -> None:
        """Run the spout until `stop` is called."""
        with serve(self._home, checkpoint=self._checkpoint, on_commit=self._tell) as pachd:
            self._on_event(Started(self._has_marker(pachd)))
            user_code = UserCode(self._command(pachd.sidecar_port), self._backoff, self._on_event)
            user_code.start()
            self._stopped.wait()
            user_code.kill()
        self._on_event(Stopped())

    def _tell(self, commit: Commit) -> None:
        if commit.repo == self._pipeline.name:
            self._on_event(CommitFinished(commit))

    def _has_marker(self, pachd: Pachd) -> bool:
        spec = self._pipeline.spec
        with pachd.commits.locked() as store:
            return bool(marker_tail(store, spec.name, spec.marker, 1, spec.marker_branch))
