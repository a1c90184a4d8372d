"""What the fake cloud's runs do: states, log lines and outputs, all a function of the time."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.experiments.build import archive, told

_START_S = 10.0
_UPLOAD_S = 5.0
_STOP_S = 8.0
_BOOT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run's program does: how long it trains, what it says, how it ends."""

    train_s: float = 90.0
    lines: tuple[str, ...] = told()
    exit_code: int = 0
    failure: str = ""
    keeps_files: bool = True
    listens: bool = True
    """Whether it ends when it is told to, at its limit or before."""

    def said_by(self, seconds: float) -> list[str]:
        """The lines said in the first `seconds`, evenly over the training time."""
        share = min(max(seconds, 0.0) / self.train_s, 1.0)
        return list(self.lines[: int(share * len(self.lines))])

    def output(self, lines: list[str]) -> bytes:
        """output.tar.gz with the event file."""
        events = [line for line in lines if line.startswith("{")]
        return archive({"./events.jsonl": ("\n".join(events) + "\n").encode()})


@dataclass(kw_only=True)
class Job:
    """A SageMaker training job."""

    request: Mapping[str, Any]
    work: Work
    created: datetime
    stop_asked: datetime | None = None

    @property
    def name(self) -> str:
        return str(self.request["TrainingJobName"])

    @property
    def _started(self) -> datetime:
        return self.created + timedelta(seconds=_START_S)

    @property
    def _limit(self) -> datetime:
        return self._started + timedelta(
            seconds=self.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        )

    @property
    def _trained(self) -> datetime:
        """When the program ends, by itself or because it is stopped."""
        ends = [self._started + timedelta(seconds=self.work.train_s), self._limit]
        return min([*ends, self.stop_asked] if self.stop_asked else ends)

    @property
    def _ended(self) -> datetime:
        tail = _STOP_S if self.stop_asked else _UPLOAD_S
        return self._trained + timedelta(seconds=tail)

    def _state(self, now: datetime) -> tuple[str, str]:
        if now < self._ended:
            if self.stop_asked and now >= self.stop_asked:
                return "Stopping", "Stopping"
            if now < self._started:
                return "InProgress", "Starting"
            return "InProgress", "Training" if now < self._trained else "Uploading"
        if self.stop_asked:
            return "Stopped", "Stopped"
        if self._trained == self._limit:
            return "Stopped", "MaxRuntimeExceeded"
        return ("Failed", "Failed") if self.work.exit_code else ("Completed", "Completed")

    def stop(self, now: datetime) -> bool:
        """Ask it to stop; false if it has ended or is stopping."""
        if self._state(now)[0] != "InProgress":
            return False
        self.stop_asked = now
        return True

    def described(self, now: datetime) -> dict[str, Any]:
        status, secondary = self._state(now)
        answer: dict[str, Any] = {
            "TrainingJobName": self.name,
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
        }
        if now >= self._started:
            answer["TrainingStartTime"] = self._started
        if status in ("Completed", "Failed", "Stopped"):
            answer["TrainingEndTime"] = self._ended
            billed = max((self._ended - self._started).total_seconds(), 0)
            answer["BillableTimeInSeconds"] = int(billed)
        if status == "Completed":
            answer["ModelArtifacts"] = {"S3ModelArtifacts": f"{self._output}/model.tar.gz"}
        if status == "Failed":
            code = f"exit code: {self.work.exit_code}"
            answer["FailureReason"] = self.work.failure or f"AlgorithmError: {code}"
        return answer

    @property
    def _output(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath']}/{self.name}/output"

    def _lines(self, now: datetime) -> list[str]:
        return self.work.said_by((min(now, self._trained) - self._started).total_seconds())

    def streams(self, now: datetime) -> dict[str, list[str]]:
        """The log streams, one for each host; only the first host says anything of note."""
        if now < self._started:
            return {}
        hosts = range(1, self.request["ResourceConfig"]["InstanceCount"] + 1)
        stamp = int(self._started.timestamp())
        streams = {f"{self.name}/algo-{host}-{stamp}": ["a host wakes up"] for host in hosts}
        streams[f"{self.name}/algo-1-{stamp}"] += self._lines(now)
        return streams

    def written(self, now: datetime) -> Iterator[tuple[str, bytes]]:
        """What it has put into S3 by now."""
        if now >= self._ended and self.work.keeps_files:
            yield f"{self._output}/output.tar.gz", self.work.output(self._lines(now))
            if self._state(now)[0] == "Completed":
                yield f"{self._output}/model.tar.gz", archive({"pedigree.json": b"{}"})


@dataclass(kw_only=True)
class Instance:
    """An EC2 instance that runs its user data and ends itself."""

    instance_id: str
    request: Mapping[str, Any]
    work: Work
    launched: datetime
    terminate_asked: datetime | None = None
    stop_asked: datetime | None = None

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.request["TagSpecifications"][0]["Tags"]}

    @property
    def _output(self) -> str:
        found = re.search(r"^output=(.*)$", self.request["UserData"], re.MULTILINE)
        assert found, "the script names no output"
        return shlex.split(found.group(1))[0]

    @property
    def _booted(self) -> datetime:
        return self.launched + timedelta(seconds=_BOOT_S)

    @property
    def _watchdog(self) -> datetime:
        found = re.search(r"shutdown -h \+(\d+)", self.request["UserData"])
        assert found, "the script has no watchdog"
        return self._booted + timedelta(minutes=int(found.group(1)))

    @property
    def _done(self) -> datetime:
        """When the script would end the instance by itself: trained, at its limit or asked to stop."""
        limit = re.search(r"timeout --kill-after=60 (\d+)", self.request["UserData"])
        assert limit, "the script has no limit"
        seconds = min(self.work.train_s, float(limit.group(1))) if self.work.listens else 10**7
        done = self._booted + timedelta(seconds=seconds)
        asked = self.stop_asked if self.work.listens else None
        return min(done, max(asked, self._booted) + timedelta(seconds=_STOP_S)) if asked else done

    def tag(self, key: str, now: datetime) -> None:
        """A tag is found in the instance's metadata."""
        if key == "pedigree:stop" and self.stop_asked is None:
            self.stop_asked = now

    @property
    def _stopped_early(self) -> bool:
        return self.stop_asked is not None and self._done >= self.stop_asked

    @property
    def _cut(self) -> bool:
        """Whether it was ended from outside, so that its script could not finish."""
        ends = [self._watchdog, *([self.terminate_asked] if self.terminate_asked else [])]
        return min(ends) < self._done

    @property
    def _off(self) -> datetime:
        ends = [self._done, self._watchdog]
        return min([*ends, self.terminate_asked] if self.terminate_asked else ends)

    def terminate(self, now: datetime) -> None:
        if self.terminate_asked is None and now < self._off:
            self.terminate_asked = now

    def described(self, now: datetime) -> dict[str, Any]:
        state = "pending" if now < self.launched + timedelta(seconds=5) else "running"
        if now >= self._off:
            gone = now >= self._off + timedelta(seconds=_STOP_S)
            state = "terminated" if gone else "shutting-down"
        reason = ""
        if self.terminate_asked and now >= self._off:
            reason = f"User initiated ({self.terminate_asked:%Y-%m-%d %H:%M:%S} GMT)"
        return {
            "InstanceId": self.instance_id,
            "State": {"Name": state},
            "LaunchTime": self.launched,
            "StateTransitionReason": reason,
        }

    def written(self, now: datetime) -> Iterator[tuple[str, bytes]]:
        """What its script has put into S3 by now."""
        lines = self.work.said_by((min(now, self._off) - self._booted).total_seconds())
        if lines:
            yield f"{self._output}/console.log", ("\n".join(lines) + "\n").encode()
        if self._cut or now < self._done or not self.work.keeps_files:
            return
        yield f"{self._output}/output.tar.gz", self.work.output(lines)
        early = self._done < self._booted + timedelta(seconds=self.work.train_s)
        exit_code = 143 if early else self.work.exit_code
        if exit_code == 0:
            yield f"{self._output}/model.tar.gz", archive({"pedigree.json": b"{}"})
        end = {
            "exit_code": exit_code,
            "why": ("stopped" if self._stopped_early else "limit") if early else "done",
            "started_at": int(self._booted.timestamp()),
            "ended_at": int(self._done.timestamp()),
        }
        yield f"{self._output}/end.json", json.dumps(end).encode()
