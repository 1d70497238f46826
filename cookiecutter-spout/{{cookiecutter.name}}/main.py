"""Starts the spout. Pachyderm's worker runs this file for ever (transform.cmd in pipeline.json)."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from spout.__main__ import main

    sys.exit(main())
