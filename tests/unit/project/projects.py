"""What the tests of projects are made of."""

from pathlib import Path

STORY = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source: {type: symbol, symbol: ".", interval: 30s}
marker: mymark
"""
PROJECT = "{{cookiecutter.name}}"


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_bytes().decode()
    assert old in text
    file.write_bytes(text.replace(old, new).encode())
