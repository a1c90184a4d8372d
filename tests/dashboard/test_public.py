"""The dashboard at an address that others reach: shut without a password, and no operator by it.

127.0.0.2 is this machine's own, and not one of those at which everybody may act.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployment.settings import ServingSettings
from tests.dashboard.live_world import cloud_of, draw_photos, make_live

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-password-nobody-guesses"
# A visit in a process of its own, whose Streamlit is told its address as `--server.address` tells it.
_VISIT = """
import json, os, sys
from streamlit.testing.v1 import AppTest
from streamlit.web import bootstrap
sys.path.insert(0, ".")
from dashboard.access import require_operator
from experiments.errors import PedigreeError

bootstrap.load_config_options({"server_address": "127.0.0.2"})

def seen(app):
    texts = [e.value for k in (app.title, app.header, app.markdown, app.error, app.info, app.code)
             for e in k]
    return {"texts": [str(t) for t in texts], "asked": [t.label for t in app.text_input],
            "figures": [m.label for m in app.metric],
            "off": [b.label for b in app.button if b.disabled]}

app = AppTest.from_file("dashboard/app.py", default_timeout=60).run()
told = [seen(app)]
for step in json.loads(sys.argv[1]):
    what, value = step
    if what == "type":
        app.text_input[0].set_value(value)
    elif what == "set":
        os.environ["PEDIGREE_DASHBOARD_PASSWORD"] = value
    elif what == "page":
        app.switch_page(value)
    told.append(seen(app.run()))
try:  # what every action asks first: a button shown as disabled holds off nobody who sends its press
    require_operator()
except PedigreeError as error:
    told.append({"texts": [error.message], "asked": [], "figures": [], "off": []})
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("public")
    draw_photos(folder)
    with cloud_of(folder) as cloud:
        make_live(cloud, folder, ServingSettings(app="dogs"))
        yield folder


def visit(home: Path, *steps: tuple[str, str]) -> list[dict[str, Any]]:
    """What the page shows at first and after each step."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PEDIGREE_")}
    done = subprocess.run(
        [sys.executable, "-c", _VISIT, json.dumps(steps)],
        cwd=ROOT, env={**env, "PEDIGREE_HOME": str(home)}, check=False, capture_output=True,
        text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_it_is_shut_then_one_may_look_and_still_not_act(home: Path) -> None:
    shut, asked, wrong, inside, playground, pressed = seen = visit(
        home,
        ("set", PASSWORD),
        ("type", "a guess"),
        ("type", PASSWORD),
        ("page", "playground/page.py"),
    )
    assert any("open to the network and has no password" in text for text in shut["texts"])
    assert (shut["figures"], shut["asked"]) == ([], [])
    assert (asked["asked"], asked["figures"]) == (["Password"], [])
    assert "That is not the password." in wrong["texts"]
    assert wrong["figures"] == []
    assert "Release" in inside["figures"]
    assert "Start the load test" in playground["off"]
    assert any("needs the operator role" in text for text in playground["texts"])
    assert pressed["texts"] == ["this needs the operator role"]
    assert not (home / ".pedigree" / "loads").exists()
    assert not (home / ".pedigree" / "audit.jsonl").exists()
    assert PASSWORD not in json.dumps(seen)
