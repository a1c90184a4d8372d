"""The rules of the choice, with the clock and the speeds given."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.engines.measure import Measured, Prospect, best_of, images_per_s, reason, taste
from training.engines.on_openvino import multiplies_bytes
from training.graph import Floats

SPEEDS = st.floats(1, 1e5)
SECONDS = st.floats(0, 1e3)


def measured(name: str, speed: float, setup: float = 0.0) -> Measured:
    return Measured(name=name, images_per_s=speed, setup_s=setup)


def test_a_faster_engine_wins_only_if_its_set_up_is_earned_back() -> None:
    slow, fast = measured("f32", 100, 0.1), measured("int8", 400, 20)
    assert best_of([slow, fast], 1_000).name == "f32"
    assert best_of([slow, fast], 10_000).name == "int8"


def test_what_cannot_pay_is_not_even_tried() -> None:
    int8 = Prospect(name="int8", setup_s=10, gain=4)
    assert not int8.may_pay(measured("bf16", 600), 2_000)
    assert int8.may_pay(measured("bf16", 600), 20_000)


@given(speed=SPEEDS, gain=st.floats(1, 16), setup=SECONDS, pictures=st.integers(1, 10**6))
def test_an_engine_that_is_left_out_could_not_have_won(
    speed: float, gain: float, setup: float, pictures: int
) -> None:
    best = measured("f32", speed)
    if not Prospect(name="x", setup_s=setup, gain=gain).may_pay(best, pictures):
        tried = measured("x", speed * gain, setup)
        assert tried.total_s(pictures) >= best.total_s(pictures) * (1 - 1e-9)


def test_the_reason_names_all_that_was_measured_and_left_out() -> None:
    engines = [measured("f32", 100, 0.5), measured("bf16", 300, 0.5)]
    text = reason(engines[1], engines, ["int8, whose set-up takes 9 s or more"], 300)
    assert text.startswith("bf16 is the fastest here for 300 pictures: bf16 300 images/s, 1.5 s")
    assert "f32 100 images/s, 3.5 s with set-up" in text and "not tried: int8" in text


def test_a_taste_is_one_picture_on_every_thread_after_the_first_call() -> None:
    ticks: Iterator[float] = iter([1.0, 1.5])
    calls: list[object] = []

    def network(pixels: Floats) -> Floats:
        calls.append(pixels)
        return pixels

    picture = np.zeros((1, 3, 4, 4), np.float32)
    assert taste(network, picture, 2, clock=lambda: next(ticks)) == 4.0
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("flags", "there"),
    [
        ("fpu sse4_2 avx2 fma", False),
        ("avx2 avx512f avx512_vnni", True),
        ("avx2 avx_vnni", True),
        ("asimd asimddp", True),
    ],
)
def test_a_dot_product_of_bytes_is_read_from_the_processor_s_flags(
    tmp_path: Path, flags: str, there: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    assert multiplies_bytes(tmp_path / "cpuinfo") is there
    assert multiplies_bytes(tmp_path / "nowhere")


def test_speed_counts_every_picture_of_every_thread() -> None:
    ticks: Iterator[float] = iter([0.0, 0.1, 1.0, 2.0, 3.0, 3.5])
    batch = np.zeros((8, 3, 4, 4), np.float32)
    calls: list[int] = []

    def network(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        calls.append(len(pixels))

    speed = images_per_s(network, batch, 2, clock=lambda: next(ticks))  # type: ignore[arg-type]
    in_a_round = 2 * 3  # 0.25 s at 0.1 s a call, on two threads
    assert len(calls) == 2 + 2 * in_a_round
    assert speed == in_a_round * 8 / 0.5
