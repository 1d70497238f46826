"""Puts the template's project folder on the path: the runtime that users receive is the one tested here."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # cookiecutter copies whatever it finds in a template
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"))
