"""What tests of images need: buildah with a storage of its own, a base image with python3, a registry.

The base is made by debootstrap, once: it stays in pytest's cache, and is only read by the sessions after.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BASE = "localhost/spoutgen-test/python:bookworm"
# What a container has no use for is most of the files.
_LEFT_OUT = (
    "var/cache/apt", "var/lib/apt/lists", "var/lib/dpkg", "usr/share/doc", "usr/share/locale", "usr/share/man",
    "usr/share/zoneinfo", "usr/lib/apt", "usr/lib/*/gconv", "usr/lib/*/perl-base", "proc", "sys",
)  # fmt: skip


def need(*programs: str) -> None:
    """Skip the test on a machine without them, or where we are not root, as building by chroot needs."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs root, to build and to enter an image without a daemon")


class Buildah:
    """buildah on a storage below ``folder``; ``shared`` is a second one that is only read."""

    def __init__(self, folder: Path, shared: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        more = f'[storage.options]\nadditionalimagestores = ["{shared}"]\n' if shared else ""
        storage = f'[storage]\ndriver = "vfs"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n{more}'
        (folder / "storage.conf").write_text(storage)
        self._registries = folder / "registries.conf"
        self._registries.write_text("")
        (folder / "auth.json").write_text("{}")  # whoever is logged in elsewhere is not so here
        self.environment = {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self._registries),
            "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def run(self, *arguments: str) -> str:
        """One command of buildah, which must succeed; returns what it says."""
        done = subprocess.run(
            ["buildah", *arguments], env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def trust(self, registry: str) -> None:
        """Let this registry be spoken to without TLS."""
        self._registries.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The root of a container of an image."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)


def base_image(cache: Path) -> Path:
    """The storage that has the image `BASE`, made if it is not there yet."""
    storage, done = cache / "storage", cache / "done"
    if not done.exists():
        shutil.rmtree(cache)
        _debootstrap(cache / "root")
        left_out = [f"--exclude=./{path}/*" for path in _LEFT_OUT]
        (cache / "context").mkdir()
        (cache / "context/Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        archive = str(cache / "context/root.tar")
        subprocess.run(
            ["tar", "-C", str(cache / "root"), "--numeric-owner", *left_out, "-cf", archive, "."], check=True
        )
        Buildah(storage).run("build", "--quiet", "--tag", BASE, str(cache / "context"))
        shutil.rmtree(cache / "root")
        shutil.rmtree(cache / "context")
        done.touch()
    return storage / "graph"


def _debootstrap(root: Path) -> None:
    """A Debian with no more than python3; skips where Debian's packages cannot be had."""
    root.mkdir(parents=True)
    packages = "--include=python3-minimal,libpython3-stdlib"
    command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"debootstrap failed: {done.stdout[-500:]}")
