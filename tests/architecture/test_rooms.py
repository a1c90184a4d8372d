"""The rooms of the house and what may not happen in them, held against the code."""

from __future__ import annotations

import ast
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.architecture.source_tree import OTHERS, ROOMS, ROOT, Module, called, modules, report

ALLOWED: dict[str, tuple[str, ...]] = {
    "training": ("serving.preprocess",),
    "serving": (),
    "lambda": (),
    "experiments": ("training.config", "training.manifest", "training.errors"),
    "simulator": ("experiments.prices", "experiments.errors"),
    "deployment": ("experiments", "training.config", "simulator"),
    "dashboard": ("experiments", "deployment", "simulator", "serving.preprocess"),
    "localaws": (),
    "cli": ROOMS,
    "demo": (),
    "tools": (),
    "benchmarks": (*ROOMS, "benchmarks"),
}
DOORS = {
    "boto3": ("experiments/aws.py", "lambda/", "localaws/"),
    "botocore": ("experiments/aws.py", "experiments/contract.py", "lambda/", "localaws/"),
    "mlflow": ("experiments/tracking/",),
    "moto": ("localaws/",),
    "streamlit": ("dashboard/",),
    "click": ("cli/",),
    "torch": ("training/", "serving/models/on_torch.py"),
}
PICKLES = ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "_pickle")
LONGEST_FUNCTION, LONGEST_FILE = 45, 300
VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers"}
THEIRS = {*dir(BaseHTTPRequestHandler), *dir(ThreadingHTTPServer)}
"""Names that a library gave; whoever overrides them cannot choose."""


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_its_line_of_the_table_says(room: str) -> None:
    ours = (*ROOMS, *OTHERS)
    offenders = [
        f"{module.path}:{line} imports {name}"
        for module in modules(room)
        for line, name in module.imports()
        if within(name, ours) and not within(name, (room, *ALLOWED[room]))
    ]
    report(offenders, f"{room} may import of ours only: {', '.join(ALLOWED[room]) or 'nothing'}")


def test_every_folder_with_code_has_a_line_in_the_table() -> None:
    held = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests"}
    assert held <= set(ALLOWED), "add the folder to the table, in ARCHITECTURE.md and here"


def test_what_ships_to_lambda_needs_nothing_but_the_runtime() -> None:
    known = {*sys.stdlib_module_names, "boto3", "botocore"}
    own = {path.stem for path in (ROOT / "lambda").glob("*.py")}
    offenders = [
        f"{module.path}:{line} imports {name}"
        for module in modules("lambda")
        for line, name in module.imports()
        if name.partition(".")[0] not in known | own
    ]
    report(offenders, "lambda/ may import the standard library and boto3")


@pytest.mark.parametrize("library", sorted(DOORS))
def test_an_outside_world_has_one_door(library: str) -> None:
    offenders = [
        f"{module.path}:{line} imports {name}"
        for module in modules(*ROOMS, "tools")
        for line, name in module.imports()
        if within(name, (library,)) and not module.path.startswith(DOORS[library])
    ]
    report(offenders, f"{library} is imported only in {', '.join(DOORS[library])}")


def test_modules_are_imported_by_name_only_by_the_command_line() -> None:
    offenders = [
        f"{module.path}:{getattr(node, 'lineno', 0)}"
        for module in modules(*ROOMS)
        for node in module.nodes
        if called(node)[1] in ("import_module", "__import__") and module.room != "cli"
    ]
    report(offenders, "import_module would go round the table of imports")


def test_nothing_unpickles() -> None:
    offenders = [
        f"{module.path}:{line} imports {name}"
        for module in modules(*ROOMS, "tools", "benchmarks")
        for line, name in module.imports()
        if within(name, PICKLES)
    ]
    for module in modules(*ROOMS):
        for node in module.nodes:
            if isinstance(node, ast.Call) and called(node) == ("torch", "load"):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if given.get("weights_only") != "True":
                    offenders.append(f"{module.path}:{node.lineno} torch.load, not weights_only")
    report(offenders, "what is loaded must not be able to run code")


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_names_say_what_a_thing_is() -> None:
    offenders = []
    for module in modules(*ROOMS, *OTHERS):
        for part in module.path.removesuffix(".py").split("/"):
            if _words(part) & (VAGUE | {"common"}):
                offenders.append(f"{module.path}: {part}")
        for line, name in module.definitions():
            vague = _words(name) & VAGUE or name.lstrip("_").startswith(("process_", "handle_"))
            if vague and name not in THEIRS:
                offenders.append(f"{module.path}:{line} {name}")
    report(offenders, "no utils, common, helpers, managers, process_x or handle_x")


def _sized() -> tuple[Module, ...]:
    return modules(*ROOMS, "tools", "benchmarks")


def test_functions_are_short() -> None:
    offenders = [
        f"{module.path}:{node.lineno} {node.name}: {length} lines"
        for module in _sized()
        for node, length in module.functions()
        if length > LONGEST_FUNCTION
    ]
    report(offenders, f"no function is over {LONGEST_FUNCTION} lines")


def test_files_are_short() -> None:
    offenders = [f"{m.path}: {m.lines} lines" for m in _sized() if m.lines > LONGEST_FILE]
    report(offenders, f"no file is over {LONGEST_FILE} lines")


def test_tests_hand_in_fakes_and_patch_nothing() -> None:
    offenders = []
    for module in modules("tests", "benchmarks"):
        for line, name in module.imports():
            if within(name, ("unittest.mock", "mock", "pytest_mock")):
                offenders.append(f"{module.path}:{line} imports {name}")
        for node in module.nodes:
            owner, verb = called(node)
            if owner == "monkeypatch" and verb not in ("setenv", "delenv", "chdir"):
                offenders.append(f"{module.path}:{getattr(node, 'lineno', 0)} monkeypatch.{verb}")
            if isinstance(node, ast.arg) and node.arg in ("mocker", "mock"):
                offenders.append(f"{module.path}:{node.lineno} takes {node.arg}")
    report(offenders, "tests use builders and working fakes, never patches")


def test_every_test_is_found_by_pytest() -> None:
    offenders = [
        module.path
        for module in modules("tests")
        if not module.path.rpartition("/")[2].startswith("test_")
        and any(name.startswith("test_") for _, name in module.definitions())
    ]
    report(offenders, "a test in a file whose name does not start with test_ never runs")
