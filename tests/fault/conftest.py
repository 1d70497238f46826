"""The fault tests import the runtime as it is in the template."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # cookiecutter copies what it finds in a template
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"))
