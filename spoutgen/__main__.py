"""``python -m spoutgen``: the same as the ``spoutgen`` command."""

import sys

from spoutgen.cli.main import command

sys.exit(command())
