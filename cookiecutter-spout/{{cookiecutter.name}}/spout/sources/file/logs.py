"""Which file on the disk is which generation: looked up again and again, since rotation goes on meanwhile."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from spout.fatal import FatalError, brief
from spout.records import Position
from spout.sources.file import folder
from spout.sources.file.body import Body, MovedError, Place, is_copy, is_same
from spout.sources.file.folder import Found
from spout.sources.file.generation import ChangedError, Generation

FORGET_AFTER = 60.0  # seconds for which an old file must be gone before its place leaves the marker
LOST_AFTER = 2.0  # seconds for which the file that is being read must be gone before that is a loss

_PLACE = {"device": int, "inode": int, "offset": int, "head": str, "tail": str}
_UNREADABLE = (FileNotFoundError, MovedError, EOFError, zlib.error)  # gone meanwhile, or a gzip that is being written


class Log:
    """One log: its generations, the one that is being read last; and the files that wait to be read, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.group = {"file": name}
        self.generations: dict[int, Generation] = {}
        self.waiting: list[Found] = []
        self.nothing_in: set[Found] = set()

    @property
    def last(self) -> Generation | None:
        """The generation that is being read."""
        return self.generations[max(self.generations)] if self.generations else None

    def earlier(self) -> list[Generation]:
        """The ones that were read, which may get late lines."""
        return [self.generations[number] for number in sorted(self.generations)[:-1]]

    def add(self, place: Place, found: Found | None) -> Generation:
        """The next generation."""
        generation = Generation(self.next_number(), place, found)
        self.generations[generation.number] = generation
        return generation

    def next_number(self) -> int:
        """The number of the generation after the last one."""
        return max(self.generations, default=0) + 1


class Logs:
    """All logs of a pattern."""

    def __init__(self, pattern: str, clock: Callable[[], float]) -> None:
        self._pattern = pattern
        self._root = folder.root(pattern)
        self._clock = clock
        self._listed: folder.Listed | None = None
        self.by_name: dict[str, Log] = {}

    def set(self, position: Position | None) -> None:
        """The generations of a position; FatalError if it is none."""
        self.close()
        try:
            given = {} if position is None else position
            self.by_name = {name: _log(name, places) for name, places in given.items()}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise FatalError(
                "source",
                found=f"the position {brief(position)} ({error})",
                expected="a position of a file source",
                remedy="put an older marker back",
            ) from error

    def position(self) -> Position:
        """``{log: {generation: place}}``."""
        return {
            name: {str(number): log.generations[number].place._asdict() for number in sorted(log.generations)}
            for name, log in self.by_name.items()
            if log.generations
        }

    def keep(self, position: Position) -> None:
        """Forget the generations that ``position`` does not have."""
        for name, log in self.by_name.items():
            for number in [each for each in log.generations if str(each) not in position.get(name, {})]:
                log.generations.pop(number).close()

    def close(self) -> None:
        """Let go of all files."""
        for generation in self._all():
            generation.close()

    def look(self) -> bool:
        """Find every generation again, and what is new; False while the folder changes too quickly to tell."""
        self._listed = folder.files(self._pattern, self._listed)
        if self._listed is None:
            return False
        found = {name[len(self._root) :]: files for name, files in self._listed.items()}
        for name in found:
            self.by_name.setdefault(name, Log(name))
        by_key = {file.key: file for files in found.values() for file in files}
        taken = {file.key for file in self._by_inode(by_key)}
        for name, log in self.by_name.items():
            files = found.get(name, [])
            taken |= {file.key for file in self._by_contents(log, [file for file in files if file.key not in taken])}
        for name, log in self.by_name.items():
            rest = [file for file in found.get(name, []) if file.key not in taken]
            log.waiting = [file for file in rest if not self._is_copy(file, log)]
            log.nothing_in.intersection_update(log.waiting)
            self._forget(log)
        self.by_name = {name: log for name, log in self.by_name.items() if log.generations or name in found}
        return True

    def _all(self) -> Iterator[Generation]:
        return (generation for log in self.by_name.values() for generation in log.generations.values())

    def _by_inode(self, by_key: dict[tuple[int, int], Found]) -> Iterator[Found]:
        """The generations whose file has another name at most."""
        for generation in self._all():
            place = generation.place
            file = by_key.get((place.device, place.inode))
            is_known = generation.found is not None and file is not None and generation.found.key == file.key
            if file is None or not (
                (is_known and file.size >= place.offset) or place.offset == 0 or _holds(file, place, may_be_short=False)
            ):
                generation.found = None
                continue
            generation.is_at(file)
            yield file

    def _by_contents(self, log: Log, files: list[Found]) -> Iterator[Found]:
        """The generations whose contents are in another file now: a copy, a gzip, a disk mounted anew."""
        for generation in log.generations.values():
            if generation.found is not None:
                continue
            file = next((file for file in files if _holds(file, generation.place, may_be_short=not file.is_live)), None)
            if file is not None:
                files.remove(file)
                generation.is_at(file)
                yield file
            elif generation.missing_since is None:
                generation.missing_since = self._clock()

    def _is_copy(self, file: Found, log: Log) -> bool:
        """Whether a rotated file is what ``copytruncate`` makes before it truncates: all of it is read elsewhere."""
        last = log.last
        if file.is_live or file.is_gzip or last is None or last.found is None or not last.found.is_live:
            return False
        try:
            body = Body(file)
            try:
                return is_copy(body, last.open())
            finally:
                body.close()
        except (*_UNREADABLE, ChangedError):
            return True  # cannot be told now: wait for the next look

    def _forget(self, log: Log) -> None:
        """Files that retention has deleted; the last one stays, for its number is never given again."""
        for generation in log.earlier():
            if generation.missing_since is not None and self._clock() - generation.missing_since > FORGET_AFTER:
                generation.close()
                del log.generations[generation.number]


def _holds(file: Found, place: Place, *, may_be_short: bool) -> bool:
    try:
        body = Body(file)
    except _UNREADABLE:
        return False
    try:
        return is_same(body, place, may_be_short=may_be_short)
    except _UNREADABLE:
        return False
    finally:
        body.close()


def _log(name: str, places: Any) -> Log:
    log = Log(name)
    for number, place in places.items():
        if set(place) != set(_PLACE) or any(type(place[key]) is not kind for key, kind in _PLACE.items()):
            raise ValueError(f"generation {number} of {name} is no place")
        log.generations[int(number)] = Generation(int(number), Place(**place))
    return log
