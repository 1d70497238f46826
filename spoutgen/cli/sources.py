"""List the types of source there are, or one type's options.

spoutgen sources                        one line a type
spoutgen sources custom                 what `source:` takes for that type, and its defaults
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from spoutgen.cli.schema import check_type

if TYPE_CHECKING:
    from spoutgen.spec.catalogue import Option, SourceType


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("type", metavar="TYPE", nargs="?", help="a source type, to see its options")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print them."""
    import json

    from spoutgen.spec.catalogue import source_type
    from spoutgen.spec.schema import source_types

    check_type(args.type)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    found = [source_type(name) for name in source_types()] if args.type is None else [source_type(args.type)]
    if args.format == "json":
        told: Any = _listed(found) if args.type is None else _facts(found[0])
        print(json.dumps(told, indent=2, ensure_ascii=False))
    elif args.type is None:
        width = max(len(each.name) for each in found)
        print("".join(f"{each.name:<{width}}  {each.description}\n" for each in found), end="")
    else:
        print(_text(found[0]), end="")
    return 0


def _listed(found: list[SourceType]) -> list[dict[str, str]]:
    return [{"type": each.name, "description": each.description} for each in found]


def _facts(found: SourceType) -> dict[str, Any]:
    return {
        "type": found.name,
        "description": found.description,
        "options": [
            {
                "name": option.name,
                "description": option.description,
                "expects": option.expects,
                "required": option.is_required,
                "credential": option.is_credential,
                "default": option.default,
                "example": option.example,
            }
            for option in found.options
        ],
        "defaults": {"output": dict(found.output), "batch": dict(found.batch)},
        "path_fields": list(found.fields),
        "required_path_fields": list(found.own_fields),
        "requirements": list(found.requirements),
    }


def _text(found: SourceType) -> str:
    fields = " ".join(f"{{{field}}}" for field in found.fields)
    must = f"; {' '.join(f'{{{field}}}' for field in found.own_fields)} must be in it" if found.own_fields else ""
    blocks = [
        f"{found.name}: {found.description}\n",
        *(_option(option) for option in found.options),
        _defaults(found) + f"path fields    {fields}{must}\n"
        f"requirements   {', '.join(found.requirements) or 'none'}\n"
        f"a new one      spoutgen new NAME --set source.type={found.name}\n",
    ]
    return "\n".join(blocks)


def _option(option: Option) -> str:
    state = "required" if option.is_required else _default(option.default)
    return f"{option.name} ({state})\n  {option.expects}\n  {option.description}\n"


def _default(value: Any) -> str:
    return "optional" if value is None else f"default: {_shown(value)}"


def _defaults(found: SourceType) -> str:
    lines = [
        f"{part:<14} {', '.join(f'{key}: {_shown(value)}' for key, value in values.items())}\n"
        for part, values in (("output", found.output), ("batch", found.batch))
        if values
    ]
    return "".join(lines)


def _shown(value: Any) -> str:
    """As one writes it in YAML, on one line."""
    import json

    return value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
