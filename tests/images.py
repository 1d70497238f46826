"""What tests of images need: buildah with a storage of its own, a base image with python3, a registry.

The base is made by debootstrap, once: it stays in pytest's cache, and is only read by the sessions after. So does a
second one that has pip, and the wheels that pip is to install: what is built on it needs no network.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BASE = "localhost/spoutgen-test/python:bookworm"
BASE_WITH_PIP = "localhost/spoutgen-test/python-pip:bookworm"
_PYTHON = "3.11"  # of bookworm
_CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
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


def storage_driver(folder: Path) -> str:
    """How images are kept below ``folder``: by overlay, or as whole copies where buildah says that it cannot."""
    configuration = _configured(folder / "overlay-trial", "overlay", None)
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(configuration)}
    tried = subprocess.run(["buildah", "images"], env=environment, capture_output=True, check=False)
    return "overlay" if tried.returncode == 0 else "vfs"


def _configured(folder: Path, driver: str, shared: Path | None) -> Path:
    """The file that tells buildah to keep its images below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "storage.conf"
    more = f'additionalimagestores = ["{shared}"]\n' if shared else ""
    file.write_text(
        f'[storage]\ndriver = "{driver}"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
        f"[storage.options]\n{more}"
        '[storage.options.overlay]\nskip_mount_home = "true"\n'  # a mount that would outlive the tests
    )
    return file


class Buildah:
    """buildah on a storage below ``folder``; ``shared`` is a second one that is only read."""

    def __init__(self, folder: Path, shared: Path | None = None) -> None:
        self._folder = folder
        configuration = _configured(folder, storage_driver(folder), shared)
        self._registries = folder / "registries.conf"
        self._registries.write_text("")
        (folder / "auth.json").write_text("{}")  # whoever is logged in elsewhere is not so here
        self.environment = {
            "CONTAINERS_STORAGE_CONF": str(configuration),
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

    def remove(self) -> None:
        """Take its storage away; a build that failed leaves its root mounted."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed(mounts):
            if mount.startswith(f"{self._folder}/"):
                subprocess.run(["umount", mount], check=True)
        shutil.rmtree(self._folder)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The root of a container of an image."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)


@contextmanager
def buildah_on(shared: Path) -> Iterator[Buildah]:
    """buildah that also has the images of a storage of `base_image`; beside it, so that both keep images in one way."""
    buildah = Buildah(Path(tempfile.mkdtemp(prefix="session-", dir=shared.parents[1])), shared)
    try:
        yield buildah
    finally:
        buildah.remove()


def base_image(cache: Path) -> Path:
    """The storage that has the image `BASE`, made if it is not there yet."""
    storage, done = cache / "storage", cache / "done"
    driver = storage_driver(cache)
    if not done.exists() or done.read_text() != driver:
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
        done.write_text(driver)
    return storage / "graph"


def base_with_pip(cache: Path, requirement: str) -> Path:
    """The storage that has the image `BASE_WITH_PIP` too, with the wheels of ``requirement`` and of all it needs."""
    storage = base_image(cache)
    done, context = cache / "done-with-pip", cache / "context-with-pip"
    if not done.exists() or done.read_text() != requirement:
        shutil.rmtree(context, ignore_errors=True)
        _download(context / "wheels", requirement)
        [pip] = (context / "wheels").glob("pip-*.whl")
        with zipfile.ZipFile(pip) as wheel:
            wheel.extractall(context / "packages")
        (context / "Dockerfile").write_text(
            f"FROM {BASE}\nCOPY packages /usr/local/lib/python{_PYTHON}/dist-packages\nCOPY wheels /wheels\n"
            "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_BREAK_SYSTEM_PACKAGES=1\n"
        )
        Buildah(storage.parent).run("build", "--quiet", "--tag", BASE_WITH_PIP, str(context))
        shutil.rmtree(context)
        done.write_text(requirement)
    return storage


def _download(folder: Path, requirement: str) -> None:
    """The wheels for the base's Python, by the pip of this one; skips where no package index can be had."""
    machine = platform.machine()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    command += ["--only-binary=:all:", "--python-version", _PYTHON, "--constraint", str(_CONSTRAINTS)]
    command += [f"--platform=manylinux{version}_{machine}" for version in ("2014", "_2_17", "_2_28")]
    done = subprocess.run([*command, "pip", requirement], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip download failed: {done.stderr[-500:]}")


def _debootstrap(root: Path) -> None:
    """A Debian with no more than python3; skips where Debian's packages cannot be had."""
    root.mkdir(parents=True)
    packages = "--include=python3-minimal,libpython3-stdlib"
    command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"debootstrap failed: {done.stdout[-500:]}")
