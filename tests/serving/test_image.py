"""The image: small, unprivileged, and of the locked versions."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pins(path: Path) -> dict[str, set[str]]:
    """Package==version to the hashes given for it."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        word = line.strip().removesuffix("\\").strip()
        if "==" in word and not line.startswith((" ", "#")):
            name = word
            found[name] = set()
        elif word.startswith("--hash="):
            found[name].add(word)
    return found


def test_the_images_packages_are_those_of_the_lock() -> None:
    lock = pins(ROOT / "requirements.lock")
    wanted = pins(ROOT / "serving/requirements.txt")
    assert {name.partition("==")[0] for name in wanted} == {
        *("click", "h11", "numpy", "openvino", "pillow", "prometheus-client", "uvicorn")
    }
    for name, hashes in wanted.items():
        assert hashes and hashes == lock[name], name


def test_the_image_runs_unprivileged_with_a_health_check() -> None:
    text = (ROOT / "serving/Dockerfile").read_text()
    steps = [line.split()[0] for line in text.splitlines() if line and line[0].isupper()]
    assert steps.index("USER") < steps.index("ENTRYPOINT")
    assert "HEALTHCHECK" in steps
    assert "USER server" in text and "--require-hashes" in text


def test_serving_imports_nothing_else_of_ours_and_torch_in_one_place_only() -> None:
    installed = {"numpy", "PIL", "openvino", "uvicorn", "h11", "prometheus_client"}
    allowed = {"serving", *installed, *sys.stdlib_module_names}
    fallback = {"torch", "torchvision", "timm", "safetensors"}
    for path in (ROOT / "serving").rglob("*.py"):
        may = allowed | fallback if path.name == "on_torch.py" else allowed
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {str(node.module).partition(".")[0]}
            else:
                continue
            assert names <= may, path
