"""Lines reach CloudWatch Logs in order and in batches, whatever the sink does."""

from __future__ import annotations

from localaws.account.log_lines import BATCH_LINES, LogLines
from localaws.clock import ManualClock


class Sink:
    """Keeps what it was given; refuses one group."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[tuple[int, str]]]] = []

    def put_logs(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        if group == "refused":
            raise RuntimeError("no such group")
        self.calls.append((group, stream, lines))


def test_order_batches_and_empty_lines() -> None:
    sink = Sink()
    lines = LogLines(sink, ManualClock(1.5))
    for number in range(BATCH_LINES + 1):
        lines.add("group", "a", f"{number}")
    lines.add("group", "b", "")
    lines.add("refused", "c", "lost")
    lines.close()
    said = [text for _, stream, events in sink.calls if stream == "a" for _, text in events]
    assert said == [str(number) for number in range(BATCH_LINES + 1)]
    assert all(len(events) <= BATCH_LINES for _, _, events in sink.calls)
    assert ("group", "b", [(1500, " ")]) in sink.calls
