"""Whose fault it is, in words, and how long silence may last."""

import signal

from hypothesis import given, settings
from hypothesis import strategies as st

from training.hosts.verdict import Rank, Silence, absent, failed, frozen, killed, vanished

SECOND = Rank(number=1, host="algo-2")


def test_a_cause_names_rank_host_process_and_signal() -> None:
    found = killed(SECOND, 77, signal.SIGKILL)
    assert found.message == "rank 1 on host algo-2 (process 77) was killed by SIGKILL"
    assert "out of memory" in found.fix
    assert "SIGSEGV" in killed(SECOND, 77, signal.SIGSEGV).message
    assert "signal 63" in killed(SECOND, 77, 63).message
    assert "is stopped (SIGSTOP) for 8 s" in frozen(SECOND, 77, 8.2, stopped=True).message
    assert "has not answered for 22 s" in frozen(SECOND, 77, 22.4, stopped=False).message
    assert "exit code 3" in vanished(SECOND, 3).message
    assert failed(SECOND, "no photos").message == "rank 1 on host algo-2 failed: no photos"
    assert absent([SECOND], 300).message == "rank 1 on host algo-2 did not come within 300 s"


def test_silence_is_counted_from_the_last_word() -> None:
    silence = Silence(0.0)
    assert [silence.tick(now) for now in (1.0, 4.0)] == [1.0, 4.0]
    silence.heard()
    assert silence.tick(6.0) == 2.0


@settings(deadline=None)
@given(st.lists(st.floats(5.1, 1000), max_size=5))
def test_the_time_in_which_the_listener_slept_itself_is_nobody_s_silence(naps: list[float]) -> None:
    silence, now = Silence(0.0), 0.0
    for nap in naps:
        now += nap
        assert silence.tick(now) < 0.001
