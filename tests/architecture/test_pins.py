"""One set of exact versions: requirements.in, the lock, conda's file and what ships to instances."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_tree import ROOT

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def blocks(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes by normalised name."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin:
            name = re.sub(r"[-_.]+", "-", pin.group(1)).lower()
            hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
            found[name] = (pin.group(2), hashes)
    return found


LOCK = blocks(ROOT / "requirements.lock")


def test_every_direct_dependency_is_pinned_and_locked() -> None:
    asked = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    lines = [line for line in asked if line.strip() and not line.startswith("#")]
    direct = blocks(ROOT / "requirements.in")
    assert len(direct) == len(lines), "each line of requirements.in is one exact pin"
    wrong = {
        name: (version, LOCK.get(name, ("not there", frozenset()))[0])
        for name, (version, _) in direct.items()
        if LOCK.get(name, ("", frozenset()))[0] != version
    }
    assert not wrong, f"asked for and locked differ; run `make lock`: {wrong}"


def test_every_locked_package_has_hashes() -> None:
    assert len(LOCK) > 100
    assert [name for name, (_, hashes) in LOCK.items() if not hashes] == []


@pytest.mark.parametrize(
    "path",
    [
        "serving/requirements.txt",
        "training/requirements-instance.txt",
        "experiments/notebooks/requirements.txt",
    ],
)
def test_what_ships_is_copied_from_the_lock(path: str) -> None:
    shipped = blocks(ROOT / path)
    assert shipped
    assert {name: LOCK.get(name) for name in shipped} == shipped


def test_conda_installs_the_same_lock_on_a_python_we_support() -> None:
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    needs = content["dependencies"]
    (pip,) = [part["pip"] for part in needs if isinstance(part, dict)]
    assert pip == ["--requirement requirements.lock"]
    assert "pip" in needs
    (python,) = [part for part in needs if str(part).startswith("python=")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = project["project"]["requires-python"].removeprefix(">=")
    assert python == f"python={oldest}"
    assert project["tool"]["mypy"]["python_version"] == oldest


def test_the_packages_of_the_project_are_its_rooms() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = {
        name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert listed == there
