"""The custom source: the class ``Source`` in the project's own source.py.

Whatever is wrong with that file itself is a FatalError that says what and where, for no retry can mend it. What goes
wrong while it reads is met by reconnecting, as with any source.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spout.config import Config, check_keys
from spout.fatal import FatalError, brief
from spout.marker import JsonShape, Shape
from spout.own_file import imported
from spout.records import Lag, Limit, Position, Record, Source

FILE = Path(__file__).resolve().parents[2] / "source.py"

_MODULE = "source"
_METHODS = {"open": ("position",), "read": ("limit", "timeout"), "ack": ("position",), "close": ()}


class CustomSource:
    """Options: ``options``, handed to source.py as they are, and ``identity``, which goes before the file's own."""

    def __init__(self, options: Mapping[str, Any], file: Path = FILE) -> None:
        check_keys({"identity": None, **options}, "source", "options", "identity")
        self._file = file
        self._source = _made(_class(file), options["options"], file)
        self.identity = f"custom:{options.get('identity') or self._source.identity}"
        self.needs_ack = self._source.needs_ack

    def open(self, position: Position | None) -> Position | None:
        """As source.py does it."""
        return self._source.open(position)

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """What source.py reads, if these are records: anything else would fail later, where nobody is to blame."""
        records = self._source.read(limit, timeout)
        if not isinstance(records, list):
            raise _wrong(self._file, f"read() that returned {_described(records)}", "a list of Records; [] for none")
        for record in records:
            if not isinstance(record, Record):
                raise _wrong(self._file, f"read() that returned {_described(record)}", "Records of spout.records")
            if not isinstance(record.data, bytes) or not isinstance(record.name, str) or record.position is None:
                found = f"a Record of {_described(record.data)}, position {_described(record.position)}"
                expected = "bytes as data, a position that is not None, and text as name"
                raise _wrong(self._file, f"{found}, name {_described(record.name)}", expected)
        return records

    def ack(self, position: Position) -> None:
        """As source.py does it."""
        self._source.ack(position)

    def lag(self) -> Lag | None:
        """As source.py does it, if it does."""
        measure = getattr(self._source, "lag", None)
        lag = measure() if measure else None
        if lag is not None and not isinstance(lag, Lag):
            raise _wrong(self._file, f"lag() that returned {_described(lag)}", "a Lag of spout.records, or None")
        return lag

    def probe(self, position: Position | None) -> list[tuple[str, str]] | None:
        """As source.py does it, if it does; else None."""
        look = getattr(self._source, "probe", None)
        if look is None:
            return None
        rows = look(position)
        is_rows = isinstance(rows, list) and all(isinstance(row, (list, tuple)) and len(row) == 2 for row in rows)
        if not is_rows:
            raise _wrong(
                self._file, f"probe() that returned {_described(rows)}", "a list of pairs: what, and how it is"
            )
        return [(str(what), str(how)) for what, how in rows]

    def close(self) -> None:
        """As source.py does it."""
        self._source.close()


def make(options: Mapping[str, Any], warn: Callable[..., None]) -> Source:
    """The source that the options describe."""
    return CustomSource(options)


def probe(options: Mapping[str, Any], position: Position | None) -> list[tuple[str, str]] | None:
    """What source.py's own ``probe`` finds; None where it has none."""
    return CustomSource(options).probe(position)


def shape(config: Config, identity: str) -> Shape:
    """The marker of a custom source: one JSON file, also where the spec asks for a prefix."""
    return JsonShape(config.marker, config.name, identity)


def _class(file: Path) -> Any:
    """The class ``Source`` of the file, which is imported for it."""
    if not file.is_file():
        raise _wrong(file, "no such file", "a file with a class Source: the custom source is what it says")
    try:
        module = imported(file, _MODULE)
    except FatalError:
        raise
    except Exception as error:
        remedy = _REMEDY
        if isinstance(error, ModuleNotFoundError):
            remedy = f"add what it imports to requirements.txt (and install it here, to run here); {_REMEDY}"
        raise _wrong(file, _told(error, file), "a file that can be imported", remedy) from error
    found = getattr(module, "Source", None)
    if not isinstance(found, type):
        raise _wrong(file, "no class Source" if found is None else "a Source that is no class", "a class Source")
    return found


def _made(kind: Any, options: object, file: Path) -> Source:
    """``kind(options)``, if that has all that a source must have."""
    try:
        source: Source = kind(options)
    except FatalError:
        raise
    except Exception as error:
        expected = "Source(options), which takes `source.options` of spout.yaml and does not connect yet"
        raise _wrong(file, _told(error, file), expected) from error
    wrong = [fault for name, arguments in _METHODS.items() if (fault := _fault(source, name, arguments))]
    if wrong:
        expected = ", ".join(f"{name}({', '.join(arguments)})" for name, arguments in _METHODS.items())
        raise _wrong(file, f"a class Source {', '.join(wrong)}", f"the methods {expected}")
    identity, needs_ack = getattr(source, "identity", None), getattr(source, "needs_ack", None)
    if not isinstance(identity, str) or not identity or not isinstance(needs_ack, bool):
        found = f"a class Source with identity {_described(identity)} and needs_ack {_described(needs_ack)}"
        raise _wrong(file, found, "identity, text that names what is read, and needs_ack, True or False")
    return source


def _fault(source: object, name: str, arguments: tuple[str, ...]) -> str | None:
    """What is wrong with a method, by its signature alone."""
    method = getattr(source, name, None)
    if method is None:
        return f"without {name}()"
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError:
        return f"whose {name}() does not take {', '.join(arguments) or 'no argument'}"
    except ValueError:  # something written in C: its signature is not known
        return None
    return None


def _told(error: Exception, file: Path) -> str:
    """An error in words, with the line of ``file`` that it came from."""
    text, line = str(error), None
    if isinstance(error, SyntaxError) and error.filename == str(file):
        text, line = error.msg, error.lineno
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(file):
            line = frame.lineno
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {brief(text, 200)}{where}"


def _described(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {brief(repr(value), 40)}"


_REMEDY = "mend source.py, try it with `spoutgen test`, then build the image anew"


def _wrong(file: Path, found: str, expected: str, remedy: str = _REMEDY) -> FatalError:
    return FatalError("source", found=f"{file}: {found}", expected=expected, remedy=remedy)
