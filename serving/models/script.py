"""SageMaker's handler contract: the model's own code/inference.py, run as its inference toolkit would.

The script may define any of model_fn, input_fn, predict_fn and output_fn, or transform_fn in place of
the last three; a further parameter, where a function has one, is given a Context. What it does not
define is done as the toolkit does, or, beside a `pedigree.json`, as this server does for its own
models. The code runs in this process, a call at a time unless SAGEMAKER_MODEL_SERVER_WORKERS says so.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

from serving.calls import Call, Reply
from serving.errors import ArchiveError, HandlerError, RequestError
from serving.models import codecs

_MODEL_DIR: Final = "/opt/ml/model"
T = TypeVar("T")
NAMES: Final = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")


@dataclass(frozen=True, kw_only=True)
class ScriptSettings:
    """Where the code is and how it is called."""

    folder: Path
    program: str
    default_accept: str = codecs.JSON
    workers: int = 1

    @classmethod
    def of(cls, env: Mapping[str, str], model_dir: Path) -> ScriptSettings | None:
        """None where the model brings no code.

        SAGEMAKER_PROGRAM names the script (inference.py), SAGEMAKER_SUBMIT_DIRECTORY its folder
        (<model>/code; an s3:// address there means that the SDK has packed it so). A program that
        was asked for and is not there is an ArchiveError.
        """
        folder = _folder(env.get("SAGEMAKER_SUBMIT_DIRECTORY", ""), model_dir)
        program = env.get("SAGEMAKER_PROGRAM") or "inference.py"
        if not program.endswith(".py"):
            program += ".py"
        path = folder / program
        if not path.is_file():
            if env.get("SAGEMAKER_PROGRAM"):
                raise ArchiveError(
                    f"SAGEMAKER_PROGRAM is {program} and there is no {path}",
                    fix="pack the script into the archive's code/, or unset the variable",
                )
            return None
        workers = env.get("SAGEMAKER_MODEL_SERVER_WORKERS") or "1"
        if not workers.isdecimal() or not 1 <= int(workers) <= 64:
            raise ArchiveError(
                f"SAGEMAKER_MODEL_SERVER_WORKERS is {workers!r}", fix="use a number from 1 to 64"
            )
        accept = env.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or codecs.JSON
        return cls(folder=folder, program=program, default_accept=accept, workers=int(workers))


def _folder(given: str, model_dir: Path) -> Path:
    """Where the code lies; what is said of /opt/ml/model is meant of the model's folder."""
    given = given.removeprefix("file://")
    if not given or given.startswith("s3://"):
        return model_dir / "code"
    path = Path(given)
    return model_dir / path.relative_to(_MODEL_DIR) if path.is_relative_to(_MODEL_DIR) else path


class Defaults(Protocol):
    """What stands in for the functions that a script leaves out."""

    def model_fn(self, model_dir: str) -> Any: ...
    def input_fn(self, body: Any, content_type: str) -> Any: ...
    def predict_fn(self, data: Any, model: Any) -> Any: ...
    def output_fn(self, prediction: Any, accept: str) -> Any: ...


@dataclass(kw_only=True)
class Context:
    """What a function with one parameter more is given: the toolkit's context, as far as scripts use it."""

    system_properties: Mapping[str, Any]
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    content_type: str = ""
    status: int = 200
    response_headers: dict[str, str] = field(default_factory=dict)

    def get_request_header(self, _at: int, name: str) -> str | None:
        """A header of the request."""
        return self.request_headers.get(name.lower())

    def get_request_id(self, _at: int = 0) -> str:
        """The request's id, as in the log."""
        return self.request_id

    def set_response_content_type(self, _at: int, value: str) -> None:
        """The answer's content type, should output_fn not name one."""
        self.content_type = value

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """The answer's status."""
        del phrase, idx
        self.status = code

    def set_response_header(self, _at: int, name: str, value: str) -> None:
        """One more header of the answer."""
        self.response_headers[name] = value


class Script:
    """A loaded script and its model. `respond` may be called from one thread for each worker."""

    def __init__(self, settings: ScriptSettings, model_dir: Path, defaults: Defaults) -> None:
        """Imports the code and calls its model_fn. Raises ArchiveError, HandlerError."""
        self._settings = settings
        self._properties = {"model_dir": str(model_dir), "gpu_id": None, "batch_size": 1}
        self._own = _functions(_import(settings))
        self._defaults = defaults
        context = Context(system_properties=self._properties)
        self._model = _guarded(lambda: self._call("model_fn", str(model_dir), context=context))

    def respond(self, call: Call) -> Reply:
        """Raises RequestError where a default cannot read or write, HandlerError for the script."""
        context = Context(
            system_properties=self._properties,
            request_headers=call.headers,
            request_id=call.request_id,
        )
        return _guarded(lambda: self._respond(call, context))

    def _respond(self, call: Call, context: Context) -> Reply:
        accept = call.accept
        if not accept or accept.strip() == "*/*":
            accept = self._settings.default_accept
        is_text = codecs.base_type(call.content_type) in codecs.TEXT_TYPES
        body = _text(call.body) if is_text else call.body
        if "transform_fn" in self._own:
            given = (self._model, body, call.content_type, accept)
            answer = self._call("transform_fn", *given, context=context)
        else:
            data = self._call("input_fn", body, call.content_type, context=context)
            prediction = self._call("predict_fn", data, self._model, context=context)
            answer = self._call("output_fn", prediction, accept, context=context)
        return _reply(answer, accept, context)

    def _call(self, name: str, *given: Any, context: Context) -> Any:
        function = self._own.get(name) or getattr(self._defaults, name)
        wanted = len(inspect.signature(function).parameters)
        if wanted not in (len(given), len(given) + 1):
            raise TypeError(f"{name} takes {wanted} arguments, it is given {len(given)}")
        return function(*given, context) if wanted > len(given) else function(*given)


def _import(settings: ScriptSettings) -> ModuleType:
    """The script under its own name, which classes in its checkpoints refer to; its folder can be
    imported from."""
    path = settings.folder / settings.program
    name = Path(settings.program).stem
    spec = importlib.util.spec_from_file_location(name, path)
    loader = None if spec is None else spec.loader
    if spec is None or loader is None:
        raise ArchiveError(f"{path} cannot be imported", fix="use a Python file")
    module = importlib.util.module_from_spec(spec)
    if str(settings.folder) not in sys.path:
        sys.path.insert(0, str(settings.folder))
    sys.modules[name] = module
    try:
        _guarded(partial(loader.exec_module, module))
    except HandlerError:
        del sys.modules[name]
        raise
    return module


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    own = {name: getattr(module, name) for name in NAMES if callable(getattr(module, name, None))}
    if "transform_fn" in own and own.keys() & {"input_fn", "predict_fn", "output_fn"}:
        raise ArchiveError(
            f"{module.__name__} has transform_fn beside input_fn, predict_fn or output_fn",
            fix="define transform_fn, or the three",
        )
    return own


def _guarded(work: Callable[[], T]) -> T:
    """Run the script's code: whatever it raises becomes a HandlerError with its trace."""
    try:
        return work()
    except (RequestError, ArchiveError, HandlerError):
        raise
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__}: {str(error)[:300]}"
        raise HandlerError(
            f"the model's code failed: {told}", trace=traceback.format_exc()
        ) from error


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(400, "bad_body", "the body is not UTF-8", "send UTF-8") from error


def _reply(answer: Any, accept: str, context: Context) -> Reply:
    kind = context.content_type or accept.partition(",")[0].strip()
    if isinstance(answer, tuple) and len(answer) == 2:
        answer, kind = answer[0], str(answer[1])
    if isinstance(answer, str):
        answer = answer.encode()
    if not isinstance(answer, bytes | bytearray):
        answer, kind = codecs.encode(answer, codecs.JSON)
    return Reply(
        body=bytes(answer),
        content_type=kind,
        status=context.status,
        headers=tuple(context.response_headers.items()),
    )
