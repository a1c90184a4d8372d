"""SageMaker's handler contract, with scripts as people pack them."""

import io
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.calls import Call, Reply
from serving.errors import ArchiveError, HandlerError
from serving.http.admission import Admission, Bounds
from serving.http.app import App
from serving.http.metrics import Metrics
from serving.models.engine import Engine
from serving.models.script import Script, ScriptSettings
from serving.models.scripted import ScriptedModel, script_version
from serving.models.stand_ins import PedigreeDefaults, ToolkitDefaults
from tests.serving.builders import Got, drawn, encoded, one, write_archive

JSON = "application/json"


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    """A script is imported under its own name; the next test's must not meet it."""
    path, modules = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    for name in ({*sys.modules} - modules) & {"inference", "predictor", "network"}:
        del sys.modules[name]


def pack(folder: Path, text: str, name: str = "inference.py") -> Path:
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / "code" / name).write_text(textwrap.dedent(text))
    return folder


def load(folder: Path, env: Mapping[str, str] | None = None) -> Script:
    settings = ScriptSettings.of(env or {}, folder)
    assert settings is not None
    ours = (folder / "pedigree.json").exists()
    defaults = PedigreeDefaults(folder, partial(Engine, threads=1)) if ours else ToolkitDefaults()
    return Script(settings, folder, defaults)


def ask(script: Script, body: bytes, kind: str = JSON, accept: str = "") -> Reply:
    call = Call(
        body=body,
        headers={"content-type": kind, "accept": accept, "x-tenant": "dogs"},
        attributes={},
        query="",
        request_id="r-1",
        deadline_at=float("inf"),
    )
    return script.respond(call)


WHOLE = """
    import json, pathlib

    def model_fn(model_dir):
        return {"weights": pathlib.Path(model_dir, "weights.txt").read_text()}

    def input_fn(body, content_type):
        return type(body).__name__, content_type

    def predict_fn(data, model):
        return [*data, model["weights"]]

    def output_fn(prediction, accept):
        return json.dumps([*prediction, accept])
"""


def test_all_four_functions_are_called_in_turn(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("w1")
    script = load(pack(tmp_path, WHOLE))
    reply = ask(script, b"[1]")
    assert json.loads(reply.body) == ["str", JSON, "w1", JSON]
    assert json.loads(ask(script, b"x", "image/jpeg", "text/plain").body)[0] == "bytes"
    assert ask(script, b"x", "image/jpeg", "text/plain").content_type == "text/plain"


def test_the_toolkits_defaults_fill_in(tmp_path: Path) -> None:
    script = load(pack(tmp_path, "def model_fn(model_dir):\n    return lambda data: data * 2\n"))
    assert json.loads(ask(script, b"[[1, 2]]").body) == [[2, 4]]
    assert ask(script, b"1,2\n", "text/csv", "text/csv").body == b"2.0\n4.0\n"
    raw = io.BytesIO()
    np.save(raw, np.array([1.5]))
    reply = ask(script, raw.getvalue(), "application/x-npy", "application/x-npy")
    assert reply.content_type == "application/x-npy" and reply.body.startswith(b"\x93NUMPY")


def test_a_function_with_a_parameter_more_is_given_the_context(tmp_path: Path) -> None:
    script = load(
        pack(
            tmp_path,
            """
            def model_fn(model_dir, context):
                return context.system_properties["model_dir"] == model_dir

            def transform_fn(model, body, content_type, accept, context):
                context.set_response_status(201, "made")
                context.set_response_header(0, "x-was", context.get_request_header(0, "X-Tenant"))
                return f"{model} {context.get_request_id()}", "text/plain"
            """,
        )
    )
    reply = ask(script, b"{}")
    assert (reply.status, reply.body, reply.content_type) == (201, b"True r-1", "text/plain")
    assert reply.headers == (("x-was", "dogs"),)


@pytest.mark.parametrize(
    ("answer", "body", "kind"),
    [
        ("b'raw', 'image/png'", b"raw", "image/png"),
        ("{'a': 1}", b'{"a": 1}', JSON),
        ("bytearray(b'x')", b"x", JSON),
        ("'text'", b"text", JSON),
        ("numpy.float32([1, 2])", b"[1.0, 2.0]", JSON),
    ],
)
def test_what_output_fn_may_return(tmp_path: Path, answer: str, body: bytes, kind: str) -> None:
    text = f"""
        import numpy
        def model_fn(folder): return abs
        def output_fn(prediction, accept): return {answer}
    """
    reply = ask(load(pack(tmp_path, text)), b"[1]")
    assert (reply.body, reply.content_type) == (body, kind)


def test_program_and_folder_come_from_sagemakers_variables(tmp_path: Path) -> None:
    pack(tmp_path / "other", "FACTOR = 3\n", "network.py")
    text = "from network import FACTOR\ndef model_fn(folder): return lambda data: data * FACTOR\n"
    pack(tmp_path / "other", text, "predictor.py")
    env = {
        "SAGEMAKER_PROGRAM": "predictor.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": str(tmp_path / "other/code"),
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
    }
    assert ask(load(tmp_path, env), b"[2]").body == b"6\n"


@pytest.mark.parametrize(
    "place", ["/opt/ml/model/code", "file:///opt/ml/model/code", "s3://bucket/source.tar.gz"]
)
def test_the_sdks_ways_to_name_the_folder_lead_to_the_archives_code(
    tmp_path: Path, place: str
) -> None:
    pack(tmp_path, "def model_fn(folder): return abs\n", "predictor.py")
    env = {"SAGEMAKER_PROGRAM": "predictor.py", "SAGEMAKER_SUBMIT_DIRECTORY": place}
    assert ask(load(tmp_path, env), b"[-2]").body == b"[2]"


def test_torchs_own_checkpoint_runs_with_the_pytorch_defaults(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = {"weight": torch.tensor([[1.0, -1.0]]), "bias": torch.tensor([0.5])}
    torch.save(weights, tmp_path / "model.pth")
    script = load(
        pack(
            tmp_path,
            """
            import os, torch

            def model_fn(model_dir):
                model = torch.nn.Linear(2, 1)
                model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
                return model
            """,
        )
    )
    assert json.loads(ask(script, b"[[3, 1], [0, 0]]").body) == [[2.5], [0.5]]


def test_beside_our_manifest_our_own_functions_fill_in(tmp_path: Path) -> None:
    write_archive(tmp_path)
    script = load(pack(tmp_path, "SECRET = 1\n"))
    body = json.loads(ask(script, encoded(drawn()), "image/jpeg").body)
    assert body["results"][0]["predictions"][0]["label"] == "red"
    text = """
        def output_fn(prediction, accept):
            best = max(zip(prediction["probabilities"][0], prediction["labels"]))
            return best[1], "text/plain"
    """
    del sys.modules["inference"]
    assert ask(load(pack(tmp_path, text)), encoded(drawn()), "image/png").body == b"red"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def model_fn(folder): raise KeyError('weights')", "KeyError: 'weights'"),
        ("import no_such_package_anywhere", "no_such_package_anywhere"),
        ("def model_fn(", "SyntaxError"),
        ("def model_fn(a, b, c): ...", "takes 3 arguments"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_script_that_cannot_be_loaded_says_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(HandlerError) as caught:
        load(pack(tmp_path, text))
    assert words in caught.value.message and "Traceback" in caught.value.trace


def test_a_model_without_any_way_to_load_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="model_fn"):
        load(pack(tmp_path, "def predict_fn(data, model): ..."))
    with pytest.raises(ArchiveError, match="transform_fn"):
        del sys.modules["inference"]
        load(pack(tmp_path, "transform_fn = predict_fn = print\ndef model_fn(f): ..."))


def test_settings_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    assert ScriptSettings.of({}, tmp_path) is None
    with pytest.raises(ArchiveError, match=r"predictor\.py"):
        ScriptSettings.of({"SAGEMAKER_PROGRAM": "predictor"}, tmp_path)
    pack(tmp_path, "")
    with pytest.raises(ArchiveError, match="WORKERS"):
        ScriptSettings.of({"SAGEMAKER_MODEL_SERVER_WORKERS": "many"}, tmp_path)


def app_of(script: Script, log: list[dict[str, Any]]) -> App:
    model = ScriptedModel(script, version=script_version(b"x"), workers=1)
    return App(model, Admission(Bounds()), Metrics(), log=log.append)


def served(folder: Path, body: bytes, **request: Any) -> tuple[Got, list[dict[str, Any]]]:
    log: list[dict[str, Any]] = []
    return one(app_of(load(folder), log), parts=[body], **request), log


def test_its_error_is_a_500_with_the_trace_in_the_log_only(tmp_path: Path) -> None:
    text = """
        def model_fn(folder): return abs
        def predict_fn(data, model): raise ValueError("secret /opt/ml/key")
    """
    got, log = served(pack(tmp_path, text), b"[1]", kind=JSON, headers={"x-request-id": "r-7"})
    assert (got.status, got.body["error"]["code"]) == (500, "model_code")
    assert "r-7" in got.body["error"]["fix"] and got.headers["x-request-id"] == "r-7"
    assert "secret" not in got.raw.decode() and "Traceback" not in got.raw.decode()
    assert "secret" in log[0]["trace"] and log[0]["request_id"] == "r-7"


@pytest.mark.parametrize(
    ("body", "kind", "accept", "status"),
    [
        (b"{", JSON, "", 400),
        (b"\xff", JSON, "", 400),
        (b"x", "image/jpeg", "", 415),
        (b"[1]", JSON, "image/png", 406),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
         "application/x-npy", "", 400),
    ],
)  # fmt: skip
def test_what_the_defaults_cannot_read_or_write_is_the_clients_fault(
    tmp_path: Path, body: bytes, kind: str, accept: str, status: int
) -> None:
    folder = pack(tmp_path, "def model_fn(folder): return abs\n")
    got, _ = served(folder, body, kind=kind, headers={"accept": accept})
    assert got.status == status and got.body["error"]["fix"]
