"""The file source: the lines of logs, in the order in which they were written, however they are rotated meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spout.config import check_keys, seconds
from spout.fatal import FatalError
from spout.records import Lag, Limit, Lines, Position, Record, UnrepeatableError
from spout.sources.file.body import MovedError, Place
from spout.sources.file.generation import ChangedError, Generation, beginning, ending
from spout.sources.file.logs import LOST_AFTER, Log, Logs

_POLL = 0.1  # seconds between two looks at a file that has nothing new
_LOOK = 1.0  # seconds between two looks at the folder
_LONGEST = 10.0  # what both may become where there are thousands of logs
_REST = 250  # times as long as looking took, in processor time: so an idle spout takes under one per cent of a core
_OPEN_FILES = 256  # logs whose file is kept open, so that it can be read on after it was deleted


class FileSource:
    """Options: ``files``, ``start`` (beginning or end), ``on_lost`` and ``max_line`` (bytes).

    The records of one log come in the order of its files, the oldest first. A line that is added to a rotated file
    after the next one was begun comes only at the beginning of a batch: so a batch always has a log's files in order,
    and reading it again gives the same.
    """

    needs_ack = False

    def __init__(
        self,
        options: Mapping[str, Any],
        warn: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_keys(options, "source", "files", "start", "on_lost", "max_line")
        self._pattern = str(options["files"])
        self._start = options["start"]
        self._on_lost = options["on_lost"]
        self._longest = int(seconds(options["max_line"], "source.max_line"))
        self._warn = warn
        self._clock = clock
        self._sleep = sleep
        self._logs = Logs(self._pattern, clock)
        self._turn: list[str] = []
        self._largest = 0
        self._look_at = self._poll_at = 0.0
        self._open: dict[Generation, None] = {}
        self.identity = f"file:{self._pattern}"

    def open(self, position: Position | None) -> Position | None:
        """Find the files of ``position`` again. For ``start: end``, return where the files end now."""
        self._logs.set(position)
        self._look_at = self._poll_at = 0.0
        self._largest = 0
        if position is not None or self._start == "beginning":
            return None
        while not self._logs.look():
            self._sleep(_POLL)
        for log in self._logs.by_name.values():
            self._skip(log)
        return self._logs.position()

    def read(self, limit: Limit, timeout: float) -> Sequence[Record]:
        """The next lines of one log, the logs in turn."""
        gives_up_at = self._clock() + timeout
        while True:
            if self._clock() >= self._poll_at:
                began = time.thread_time()
                lines = self._read_new(limit) if limit.until is None else self._read_again(limit, limit.until)
                if lines:
                    return lines
                self._poll_at = self._clock() + _rest(_POLL, began)
            now = self._clock()
            if now >= gives_up_at:
                return []
            self._sleep(min(self._poll_at, gives_up_at) - now)

    def ack(self, position: Position) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag | None:
        """The unread bytes, as records: by the length of the lines that were read last."""
        records = 0
        for log in self._logs.by_name.values():
            size = max((each.line_bytes for each in log.generations.values()), default=0.0) or 100.0
            last = log.last
            unread = sum(file.size for file in log.waiting) + (last.unread() if last else 0)
            records += -int(-unread // size)
        return Lag(records)

    def close(self) -> None:
        """Close all files."""
        self._logs.close()
        self._open.clear()

    def _read_new(self, limit: Limit) -> Lines | None:
        begins_batch = limit.records >= self._largest  # the loop asks for less and less until a batch is full
        self._largest = max(self._largest, limit.records)
        self._look_around()
        for name in self._in_turn():
            log = self._logs.by_name[name]
            if begins_batch:
                for generation in log.earlier():
                    if generation.may_have_more and (lines := self._lines(log, generation, limit)):
                        return lines
                    self._let_go(generation)
            if lines := self._read_log(log, limit):
                return lines
        return None

    def _in_turn(self) -> list[str]:
        """The logs, beginning after the one that was read last."""
        names = list(self._logs.by_name)
        at = names.index(self._turn[0]) + 1 if self._turn and self._turn[0] in self._logs.by_name else 0
        return names[at:] + names[:at]

    def _read_log(self, log: Log, limit: Limit) -> Lines | None:
        last = log.last
        if last is not None:
            if last.found is None and not last.is_open and not last.is_lost:
                self._lose(log, last)
                return None
            is_still = not last.is_open and not last.may_have_more  # as it was when all of it was read
            if not last.is_lost and not is_still and (lines := self._lines(log, last, limit)):
                return lines
            if last.found is None and not last.is_open and not last.is_lost:
                return None  # it changed under our hands
        for found in [each for each in log.waiting if each not in log.nothing_in]:
            generation = Generation(log.next_number(), beginning(found), found)
            try:
                lines = self._lines(log, generation, limit)
            finally:
                if not generation.place.offset:
                    self._let_go(generation)
            if lines:
                log.waiting.remove(found)
                if last is not None:
                    self._leave(log, last)
                return lines
            log.nothing_in.add(found)
        return None

    def _lines(self, log: Log, generation: Generation, limit: Limit, until: int | None = None) -> Lines | None:
        try:
            taken = generation.read(limit, self._longest, until)
        except (ChangedError, MovedError, FileNotFoundError):
            generation.found = None
            self._let_go(generation)
            self._look_at = 0.0
            return None
        self._keep_open(generation)
        if taken is None:
            return None
        log.generations[generation.number] = generation
        self._turn = [log.name]
        number, begin = generation.number, taken.offset
        return Lines(
            taken.data,
            taken.lines,
            lambda offset: f"{number:06}-{begin + offset:015}",
            self._logs.position(),
            log.group,
        )

    def _look_around(self) -> None:
        if self._clock() >= self._look_at:
            began = time.thread_time()
            is_sure = self._logs.look()
            self._look_at = self._clock() + (_rest(_LOOK, began) if is_sure else _POLL)

    def _is_lost(self, generation: Generation) -> bool:
        """Whether the file of a generation is gone for good: for some time, in which the folder is looked at."""
        self._look_at = min(self._look_at, self._clock() + _LOOK)
        since = generation.missing_since
        return since is not None and self._clock() - since >= LOST_AFTER

    def _leave(self, log: Log, generation: Generation) -> None:
        """The next file of the log was begun."""
        if generation.found and (size := generation.partial()):
            self._warn("line_without_end", file=generation.found.path, bytes=size, offset=generation.place.offset)
        self._let_go(generation)

    def _keep_open(self, generation: Generation) -> None:
        self._open.pop(generation, None)
        self._open[generation] = None
        if len(self._open) > _OPEN_FILES:
            self._let_go(next(iter(self._open)))

    def _let_go(self, generation: Generation) -> None:
        generation.close()
        self._open.pop(generation, None)

    def _lose(self, log: Log, last: Generation) -> None:
        """The file that was being read is nowhere: not renamed, not copied, not compressed."""
        if not self._is_lost(last):
            return
        if self._on_lost == "fail":
            raise self._lost(log, last)
        self._warn("position_lost", file=log.name, offset=last.place.offset, goes_on=self._on_lost)
        last.is_lost = True
        if self._on_lost == "latest":
            self._skip(log)

    def _skip(self, log: Log) -> None:
        """Pass over what the waiting files of a log hold now."""
        for found in log.waiting:
            place = ending(found)
            if place.offset:
                log.add(place, found)
        passed = [generation.found for generation in log.generations.values()]
        log.waiting = [found for found in log.waiting if found not in passed]

    def _read_again(self, limit: Limit, until: Position) -> Lines | None:
        for name, places in sorted(until.items()):
            log = self._logs.by_name.get(name) or self._logs.by_name.setdefault(name, Log(name))
            for number, place in sorted((int(number), place) for number, place in places.items()):
                generation = log.generations.get(number)
                if generation is None:
                    generation = log.generations[number] = Generation(number, Place(**place))
                    generation.expect(Place(**place))
                    self._look_at = 0.0
                if generation.read_to < place["offset"]:
                    lines = self._read_up_to(log, generation, place["offset"], limit)
                    return lines and self._marked(lines, until)
        return None  # all of it was read

    def _read_up_to(self, log: Log, generation: Generation, end: int, limit: Limit) -> Lines | None:
        self._look_around()
        if generation.is_expected and generation.found is not None:
            generation.begin()
        if generation.found is None and not generation.is_open:
            if self._is_lost(generation):
                raise self._gone(f"generation {generation.number} of {log.name} is gone")
            return None
        lines = self._lines(log, generation, limit, end)
        if not lines and (generation.found is not None or generation.is_open):
            raise self._gone(f"generation {generation.number} of {log.name} ends before byte {end}")
        return lines

    def _marked(self, lines: Lines, until: Position) -> Lines:
        """The last of ``lines`` stands where the replay ends, if all of it was read."""
        if all(self._is_read(name, places) for name, places in until.items()):
            self._logs.keep(until)
            return replace(lines, position=until)
        return lines

    def _is_read(self, name: str, places: Mapping[str, Any]) -> bool:
        log = self._logs.by_name.get(name)
        read = log.generations if log else {}
        return all(int(n) in read and read[int(n)].read_to >= place["offset"] for n, place in places.items())

    def _gone(self, why: str) -> Exception:
        if self._on_lost != "fail":
            self._warn("position_lost", detail=why, goes_on="after the batch that cannot be read again")
            return UnrepeatableError(why)
        return FatalError(
            "source", found=why, expected="what the marker announces, to be written again", remedy=_REMEDY
        )

    def _lost(self, log: Log, last: Generation) -> FatalError:
        return FatalError(
            "source",
            found=f"no file of {log.name} that holds what was read of it, up to byte {last.place.offset}",
            expected="it, renamed, copied or compressed beside the others: what came after that byte is not known",
            remedy=_REMEDY,
        )


def _rest(least: float, began: float) -> float:
    """How long to wait after some looking that ``began`` at that moment of the thread's own time."""
    return min(max(least, _REST * (time.thread_time() - began)), _LONGEST)


_REMEDY = (
    "put the file back, or choose `source.on_lost`: earliest goes on with all files that are there, latest with what "
    "is written from now on; keep more rotated files (logrotate's `rotate`) so that a spout that stood finds its place"
)
