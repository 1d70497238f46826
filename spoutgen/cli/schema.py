"""Print the JSON Schema of the spec, for editors and other programs.

spoutgen schema                         the whole schema, without outside references
spoutgen schema symbol                  the options of one source type
"""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("type", metavar="TYPE", nargs="?", help="a source type, to see its options alone")


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from spoutgen.spec.schema import bundle, source_schema

    check_type(args.type)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    schema = bundle() if args.type is None else source_schema(args.type)
    sys.stdout.write(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    return 0


def check_type(name: str | None) -> None:
    """Raise UsageError SG901 for a source type that there is not; None is no type at all."""
    from spoutgen.errors import Diagnostic, UsageError
    from spoutgen.spec.schema import source_types
    from spoutgen.spec.violations import near

    if name is not None and name not in source_types():
        meant = near(name, source_types())
        hint = f"did you mean `{meant}`?" if meant else f"the types are {', '.join(source_types())}"
        raise UsageError(Diagnostic("SG901", f"no source type `{name}`", None, hint))
