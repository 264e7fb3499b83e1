"""Write down what the code of each stage is now: the stage-version guard.

A stage that was done before is not done again: the ledger knows it by its name, its version and its
arguments. So the version must rise whenever the same arguments would give another artefact, and
``test_stage_versions.py`` fails when the code of a stage changed and its version did not. Then:

- the artefact changes: raise ``version=`` in the ``@stage(...)`` line in ``tasks/``, and run
  ``python tests/architecture/update_stage_versions.py``;
- it stays the same, byte for byte (a name, a type, a speed-up that a test or a golden digest
  proves): run ``python tests/architecture/update_stage_versions.py --output-unchanged``.

Commit ``stage_versions.json`` with the change. The digest is of the syntax trees, without
docstrings and comments, of every module of ours that the stage's module imports, directly or not,
inside functions and for type checking too: those name the classes whose methods a stage calls.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("flows", "tasks", "storage", "models")
DATA = {".html", ".css"}
RECORD = Path(__file__).with_name("stage_versions.json")


@dataclass(frozen=True, slots=True)
class StageCode:
    """What is recorded of one stage."""

    version: int
    digest: str


def stages() -> dict[str, StageCode]:
    """Return every stage as the code has it now."""
    found = {}
    for path in sorted((ROOT / "tasks").glob("*.py")):
        for name, version in declared(tree_of(path)).items():
            found[name] = StageCode(version, digest(closure(f"tasks.{path.stem}")))
    return found


def declared(tree: ast.Module) -> dict[str, int]:
    """Return the name and version of each function under ``@stage(name=..., version=...)``."""
    calls = (
        decorator
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "stage"
    )
    words = ({word.arg: word.value for word in call.keywords} for call in calls)
    return {ast.literal_eval(one["name"]): ast.literal_eval(one["version"]) for one in words}


def closure(module: str) -> list[Path]:
    """Return the files of ours that a module stands on, itself included, in a fixed order."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = file_of(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += imported(path)
    # A template decides what a stage writes as much as the code beside it.
    data = {one for path in found for one in path.parent.iterdir() if one.suffix in DATA}
    return sorted(found | data)


def file_of(module: str) -> Path | None:
    """Return the file of a module of ours, or None for anything else."""
    path = ROOT.joinpath(*module.split("."))
    if path.parts[len(ROOT.parts)] not in FOLDERS:
        return None
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_bytes())


@cache
def imported(path: Path) -> list[str]:
    """Return every name that may be a module, from all imports at any depth, and its parents."""
    names: list[str] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    words = [name.split(".") for name in names]
    return sorted({".".join(word[:end]) for word in words for end in range(1, len(word) + 1)})


def digest(paths: list[Path]) -> str:
    """Return one digest of all files: of code its syntax tree, of anything else its bytes."""
    total = hashlib.sha256()
    for path in paths:
        content = code_of(path) if path.suffix == ".py" else path.read_bytes()
        total.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return total.hexdigest()[:32]


@cache
def code_of(path: Path) -> bytes:
    """Return the code of a file, whatever its comments, docstrings and line breaks."""
    return json.dumps(plain(tree_of(path))).encode()


def plain(node: Any) -> Any:
    """Return a syntax tree as lists; `ast.dump` differs from one Python to the next."""
    if isinstance(node, list):
        return [plain(entry) for entry in node if not is_text(entry)]
    if isinstance(node, ast.AST):
        fields = [[name, plain(value)] for name, value in ast.iter_fields(node)]
        return [type(node).__name__, *(field for field in fields if field[1] not in (None, []))]
    return node if node is None or isinstance(node, str | int) else repr(node)


def is_text(line: Any) -> bool:
    """Return whether a line is a string that stands alone: a docstring, or a field's sentence."""
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


def recorded() -> dict[str, StageCode]:
    """Return what was written down last."""
    known = json.loads(RECORD.read_text(encoding="utf-8"))
    return {name: StageCode(**entry) for name, entry in known.items()}


def unexplained(known: dict[str, StageCode], now: dict[str, StageCode]) -> list[str]:
    """Return the stages whose code changed while their version stayed, or went back."""
    return [
        name
        for name, code in now.items()
        if name in known and code != known[name] and code.version <= known[name].version
    ]


def main(arguments: list[str]) -> int:
    """Write the record, unless a stage changed without a word."""
    now = stages()
    known = recorded() if RECORD.exists() else {}
    names = unexplained(known, now)
    if names and arguments != ["--output-unchanged"]:
        print(f"changed with the version it had: {', '.join(names)}.\n{__doc__}", file=sys.stderr)
        return 1
    content = {name: asdict(code) for name, code in sorted(now.items())}
    RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
