"""The file that keeps what the user code printed: bounded, with one old file beside it."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 10 << 20


class LogFile:
    """Lines for ``path``; at ``most`` bytes the file becomes ``path.1`` and a new one is begun."""

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        """Open the file to add to it. Raises OSError."""
        self._path = path
        self._most = most
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, line: str) -> None:
        """Add a line. A disk that is full costs lines and nothing else."""
        try:
            if self._file.tell() >= self._most:
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line.encode("utf-8", "replace") + b"\n")
        except (OSError, ValueError):
            # ValueError: the file could not be opened again after it was turned over.
            return

    def close(self) -> None:
        """Close the file."""
        self._file.close()
