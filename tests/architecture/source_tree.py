"""The repository's own Python, parsed once: what each file imports, defines and calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "training",
    "serving",
    "lambda",
    "experiments",
    "simulator",
    "deployment",
    "dashboard",
    "localaws",
    "cli",
    "demo",
)
OTHERS = ("benchmarks", "tools", "tests")


@dataclass(frozen=True, kw_only=True)
class Module:
    """One file. `path` is relative to the repository, with `/`."""

    path: str
    lines: int
    nodes: tuple[ast.AST, ...]

    @property
    def room(self) -> str:
        return self.path.partition("/")[0]

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything imported.

        `from a import b` gives `a.b`, or `a` if that is ours and b is no module in it.
        """
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    ours = base.partition(".")[0] in (*ROOMS, *OTHERS)
                    yield node.lineno, base if ours and not _is_module(inner) else inner

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.path.removesuffix(".py").split("/")[: -node.level]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def functions(self) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
        """Every function with its length in lines, decorators left out."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node, (node.end_lineno or node.lineno) - node.lineno + 1

    def definitions(self) -> Iterator[tuple[int, str]]:
        """Line and name of every class and function."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.lineno, node.name


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """All Python files below some top-level folders."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.append(
                Module(
                    path=path.relative_to(ROOT).as_posix(),
                    lines=text.count("\n"),
                    nodes=tuple(ast.walk(ast.parse(text, filename=str(path)))),
                )
            )
    return tuple(found)


def called(node: ast.AST) -> tuple[str, str]:
    """Of a call `a.b.c(…)`, `b` and `c`; two empty words for anything else."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Name):
        return "", function.id
    if isinstance(function, ast.Attribute):
        owner = function.value
        inner = getattr(owner, "id", getattr(owner, "attr", ""))
        return str(inner), function.attr
    return "", ""


def report(offenders: list[str], rule: str) -> None:
    """Fail with every offender in one message."""
    assert not offenders, f"{rule}:\n" + "\n".join(f"  {offender}" for offender in offenders)
