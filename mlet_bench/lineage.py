"""Which code decides a stage's result: everything that can be reached by name from the stage's function.

A change in one of these definitions makes the stage's results stale; a change elsewhere in the package, in a comment,
a docstring or the layout of the lines does not. A file that they name beside their module counts as a whole.

A registry is no way to its members: a method that is added changes no run of the others. Whoever asks names the members
that a result is made with as further entries; one from outside the package, a plugin, counts as a whole file.
"""

import ast
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mlet_bench.errors import BenchError

PACKAGE = Path(__file__).parent
# How files are written, errors worded and origins noted: no number of a result depends on it.
SKIPPED = {f"mlet_bench.{name}" for name in ("errors", "files", "gpus", "locks", "private", "provenance", "version")}


class Module:
    """The top-level definitions of one module of the package.

    Attributes:
        is_package: whether it can hold other modules.
        definitions: name → its statements: a function, a class, or the assignments of a variable.
        imports: name → (module, name in it; None for the module as a whole), of imports at the top level.
        effects: statements that define no name, such as a call, run whenever the module is imported.
    """

    def __init__(self, name: str):
        self.is_package = _path(name).name == "__init__.py"
        self.definitions: dict[str, list[ast.stmt]] = defaultdict(list)
        self.imports: dict[str, tuple[str, str | None]] = {}
        self.effects: list[ast.stmt] = []
        tree = _without_docstrings(ast.parse(_path(name).read_text(encoding="utf-8")))
        for statement in tree.body:
            self._add(statement)

    def _add(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imports |= dict(imported(statement))
            return
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
            return
        if _is_registry(statement):
            return
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names = [statement.name]
        else:
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            names = [node.id for node in stored if isinstance(node.ctx, ast.Store)]
        for name in names:
            self.definitions[name].append(statement)
        if not names:
            self.effects.append(statement)


def reached(entries: Sequence[str]) -> dict[str, set[str]]:
    """Module → names of its definitions that can be reached from entries: ``module:name``, or ``module`` as a whole.

    A name leads to what the module defines or imports under it, at the top or inside a function; a module used as a
    whole leads to all its definitions. Names that are put together at run time are not seen.

    Raises:
        BenchError: there is no such module or definition.

    Example::

        reached(["mlet_bench.stages.train:train_runs"])["mlet_bench.training.loop"]  # {"train_together", ...}
    """
    due: list[tuple[str, str | None]] = []
    for entry in entries:
        start, _, name = entry.partition(":")
        if not _path(start).is_file() or (name and name not in _module(start).definitions):
            raise BenchError(f"{entry} is no function of the package: name the stage's entry as module:function")
        due.append((start, name or None))
    found: dict[str, set[str]] = defaultdict(set)
    seen: set[tuple[str, str | None]] = set()
    while due:
        place, name = target = due.pop()
        if target in seen or place in SKIPPED or not _path(place).is_file():
            continue
        seen.add(target)
        module = _module(place)
        if place not in found:
            found[place] = set()
            due += _targets(place, None)
        if name is None:
            due += [(place, each) for each in module.definitions]
            continue
        if name in module.imports:
            due.append(module.imports[name])
        elif name in module.definitions:
            found[place].add(name)
            due += _targets(place, name)
        elif module.is_package and _path(f"{place}.{name}").is_file():
            due.append((f"{place}.{name}", None))
    return dict(found)


def code_digests(entries: Sequence[str]) -> list[str]:
    """One line a module, ``mlet_bench.training.loop 3f2a9c01``: what the entries reach in it, hashed."""
    return list(_code_digests(tuple(sorted(set(entries)))))


@cache
def _code_digests(entries: tuple[str, ...]) -> tuple[str, ...]:
    own = [entry for entry in entries if entry.partition(".")[0] == PACKAGE.name]
    lines = [f"{plugin} {_file_digest(plugin)}" for plugin in sorted(set(entries) - set(own))]
    for name, names in sorted(reached(own).items()):
        module = _module(name)
        parts = {id(part): part for each in names for part in module.definitions[each]} | {
            id(part): part for part in module.effects
        }
        ordered = sorted(parts.values(), key=lambda part: part.lineno)
        text = "\n".join([*map(_text, ordered), *_files_beside(name, ordered)])
        if text:
            lines.append(f"{name} {hashlib.sha256(text.encode()).hexdigest()[:8]}")
    return tuple(lines)


def _file_digest(plugin: str) -> str:
    """Of a loaded module from outside the package: its whole file."""
    file = getattr(sys.modules.get(plugin.partition(":")[0]), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8] if file else "no file"


def _is_registry(statement: ast.stmt) -> bool:
    """Whether a statement makes a registry: ``X = Registry(...)``."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Registry"


def _files_beside(module: str, parts: list[ast.stmt]) -> list[str]:
    """What stands in the files of the module's folder, and of those in it, that its code names: C++ that it compiles,
    templates, and what a template names in its turn.
    """
    beside, found = _other_files(_path(module).parent), {}
    due = [node.value for part in parts for node in ast.walk(part) if isinstance(node, ast.Constant)] if beside else []
    while due:
        name = due.pop()
        if name in beside and name not in found:
            found[name] = beside[name].read_text(encoding="utf-8")
            due += re.findall(r'"([^"\n]+)"', found[name])
    return [found[name] for name in sorted(found)]


@cache
def _other_files(folder: Path) -> dict[str, Path]:
    """By name, the files below a folder that are no Python."""
    return {path.name: path for path in sorted(folder.rglob("*.*")) if path.suffix not in (".py", ".pyc")}


def imported(statement: ast.Import | ast.ImportFrom) -> list[tuple[str, tuple[str, str | None]]]:
    """What an import binds: (name, (module, name in it; None for the whole module))."""
    if isinstance(statement, ast.ImportFrom):
        return [(alias.asname or alias.name, (statement.module or "", alias.name)) for alias in statement.names]
    return [(alias.asname or alias.name.partition(".")[0], (alias.name, None)) for alias in statement.names]


@cache
def _targets(place: str, name: str | None) -> tuple[tuple[str, str | None], ...]:
    """Where the names in a definition lead, None: in what has no name; what it imports itself, or its own module."""
    module = _module(place)
    found: dict[tuple[str, str | None], None] = {}
    for part in module.effects if name is None else module.definitions[name]:
        for node in ast.walk(part):
            if isinstance(node, ast.Name):
                found[place, node.id] = None
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= dict.fromkeys(target for _, target in imported(node))
    return tuple(found)


@cache
def _text(part: ast.stmt) -> str:
    return ast.unparse(part)


@cache
def _module(name: str) -> Module:
    return Module(name)


def _path(module: str) -> Path:
    """The file of a module of the package; a path that does not exist for any other name."""
    head, *rest = module.split(".")
    if head != PACKAGE.name:
        return PACKAGE / "no such module"
    folder = PACKAGE.joinpath(*rest)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.copy_location(ast.Pass(), node.body[0])
    return tree
