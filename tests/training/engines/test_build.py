"""Every engine that this machine has gives the features of the float network, near enough."""

import pytest

from tests.training.engines.nets import SIDE, nearness, pictures, small
from training.engines.build import build_engine, runs_here
from training.engines.engine import SERVED, EngineError
from training.engines.on_openvino import capabilities
from training.engines.on_torch import has_cuda, on_device, on_torch
from training.graph import convert

pytestmark = pytest.mark.slow

TOLERANCE = {"f32": 1e-5, "torch-f32": 1e-6, "bf16": 0.02, "torch-bf16": 0.02}


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_an_engine_computes_the_network(name: str) -> None:
    if not runs_here(name):
        pytest.skip(f"this processor has no {name}")
    module = small()
    engine = build_engine(name, module=module, graph=convert(module, SIDE), threads=2, why="test")
    batch = pictures(5)
    assert nearness(engine.network(batch), on_torch(module)(batch)) <= TOLERANCE[name]
    assert engine.served == SERVED[name] and engine.graph is engine.float_graph
    assert name in engine.digest


@pytest.mark.parametrize("dtype", ["bfloat16"])
def test_the_gpu_s_path_computes_the_network_where_there_is_none(dtype: str) -> None:
    module, batch = small(), pictures(5)
    found = on_device(module, "cpu", dtype=dtype)(batch)
    assert found.dtype.name == "float32"
    assert nearness(found, on_torch(module)(batch)) <= 0.02


def test_an_engine_that_does_not_run_here_is_refused_with_its_fix() -> None:
    module = small()
    bf16 = "BF16" in capabilities()
    here = {"cuda": has_cuda(), "bf16": bf16, "torch-bf16": bf16, "torch-compile": bf16}
    missing = [name for name, there in here.items() if not there]
    for name in missing:
        with pytest.raises(EngineError, match="use auto"):
            build_engine(name, module=module, graph=None, threads=1, why="")
    with pytest.raises(EngineError, match="use one of"):
        build_engine("tpu", module=module, graph=None, threads=1, why="")
