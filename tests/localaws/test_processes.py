"""Processes: views, lines, signals, and nothing left over when the server dies."""

import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.hosts.isolation import Launch, by_paths
from localaws.hosts.linepump import LINE_LIMIT_BYTES, cut_lines
from localaws.hosts.processes import Processes

Lines = list[tuple[str, str]]


@pytest.fixture(params=["namespaces", "paths"])
def processes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Processes]:
    if request.param == "paths":
        monkeypatch.setenv("LOCALAWS_ISOLATION", "paths")
    started = Processes(tmp_path / "state")
    if started.isolation != request.param:
        started.close()
        pytest.skip(f"this machine has no namespaces: {started.isolation_reason}")
    yield started
    started.close()


def run(processes: Processes, script: str, cwd: Path, **view: object) -> tuple[int | None, Lines]:
    """Run a bash script to its end; the status and the lines that it wrote."""
    lines: Lines = []
    process = processes.spawn(
        ["bash", "-c", script],
        env={},
        cwd=cwd,
        on_line=lambda stream, line: lines.append((stream, line)),
        **view,  # type: ignore[arg-type]
    )
    return process.wait(20), lines


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    """Wait for what other processes bring about."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_status_and_lines_of_both_streams(processes: Processes, tmp_path: Path) -> None:
    status, lines = run(processes, "echo one; echo two >&2; printf three; exit 7", tmp_path)
    assert status == 7
    assert [line for stream, line in lines if stream == "stdout"] == ["one", "three"]
    assert [line for stream, line in lines if stream == "stderr"] == ["two"]


def test_mounted_folder_is_seen_and_the_disk_is_untouched(
    processes: Processes, tmp_path: Path
) -> None:
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "greeting").write_text("hello\n")
    before = {entry.name for entry in Path("/opt").iterdir()}
    status, lines = run(
        processes,
        "cat /opt/ml/greeting && echo done > /opt/ml/answer && ls /opt",
        tmp_path,
        mounts={"/opt/ml": folder},
    )
    assert status == 0
    assert lines[0] == ("stdout", "hello")
    assert (folder / "answer").read_text() == "done\n"
    assert {entry.name for entry in Path("/opt").iterdir()} == before
    assert before <= {name for _, name in lines}


def test_two_views_at_once_do_not_meet(processes: Processes, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    started = [
        processes.spawn(
            [
                "bash",
                "-c",
                "echo $1 > /opt/ml/who; sleep 0.1; [ $(cat /opt/ml/who) = $1 ]",
                "-",
                name,
            ],
            env={},
            cwd=tmp_path,
            on_line=None,
            mounts={"/opt/ml": tmp_path / name},
        )
        for name in ("a", "b")
    ]
    assert [process.wait(10) for process in started] == [0, 0]


def test_hosts_find_each_other_by_name(processes: Processes, tmp_path: Path) -> None:
    script = (
        "import os, socket; print(socket.gethostbyname(os.environ.get('MASTER_ADDR', 'algo-2')))"
    )
    lines: Lines = []
    process = processes.spawn(
        [sys.executable, "-c", script],
        env={},
        cwd=tmp_path,
        on_line=lambda stream, line: lines.append((stream, line)),
        hostname="algo-1",
        hosts={"algo-1": "127.0.0.1", "algo-2": "127.0.0.1"},
    )
    assert process.wait(10) == 0
    assert lines == [("stdout", "127.0.0.1")]


def test_nothing_of_the_servers_environment_leaks(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    status, lines = run(processes, "env", tmp_path)
    names = {line.split("=")[0] for _, line in lines}
    assert status == 0
    assert names <= {
        "PATH", "HOME", "TMPDIR", "LANG", "LOCALAWS_PROCESS", "PWD", "OLDPWD", "SHLVL", "_",
    }  # fmt: skip


def test_unknown_program_ends_with_127(processes: Processes, tmp_path: Path) -> None:
    lines: Lines = []
    process = processes.spawn(
        ["no-such-program"],
        env={},
        cwd=tmp_path,
        on_line=lambda stream, line: lines.append((stream, line)),
        hostname="algo-1",
    )
    assert process.wait(10) == 127
    assert any("no-such-program" in line for _, line in lines)


def test_stop_asks_first_and_kills_after_the_grace(processes: Processes, tmp_path: Path) -> None:
    polite = processes.spawn(
        ["bash", "-c", "trap 'exit 5' TERM; touch ready; while :; do sleep 0.02; done"],
        env={},
        cwd=tmp_path,
        on_line=None,
    )
    assert until((tmp_path / "ready").exists)
    assert polite.stop(5.0) == 5
    deaf = processes.spawn(
        ["bash", "-c", "trap '' TERM; touch deaf; while :; do sleep 0.02; done"],
        env={},
        cwd=tmp_path,
        on_line=None,
    )
    assert until((tmp_path / "deaf").exists)
    assert deaf.poll() is None
    assert deaf.stop(0.1) == -signal.SIGKILL


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_children_in_sessions_of_their_own_end_too(
    processes: Processes, tmp_path: Path, how: str
) -> None:
    wait_or_exit = "exit 0" if how == "exit" else "wait"
    process = processes.spawn(
        ["bash", "-c", f"setsid sleep 1000 & echo $! > pid.new; mv pid.new pid; {wait_or_exit}"],
        env={},
        cwd=tmp_path,
        on_line=None,
    )
    assert until((tmp_path / "pid").exists)
    child = int((tmp_path / "pid").read_text())
    if how == "kill":
        process.kill()
    assert process.wait(10) is not None
    assert until(lambda: not alive(child))


def test_children_live_on_where_that_is_wanted(processes: Processes, tmp_path: Path) -> None:
    process = processes.spawn(
        ["bash", "-c", "sleep 1000 & echo $! > pid"],
        env={},
        cwd=tmp_path,
        on_line=None,
        keep_children=True,
    )
    assert process.wait(10) == 0
    child = int((tmp_path / "pid").read_text())
    assert alive(child)
    process.stop(1.0)
    assert until(lambda: not alive(child))


def test_close_ends_everything_and_leaves_no_folder(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    started = [
        processes.spawn(["sleep", "1000"], env={}, cwd=tmp_path, on_line=None) for _ in range(3)
    ]
    processes.close()
    assert [process.poll() for process in started] == [-signal.SIGTERM] * 3
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="going down"):
        processes.spawn(["true"], env={}, cwd=tmp_path, on_line=None)


SERVER = """
    import pathlib, sys, time
    from localaws.hosts.processes import Processes
    root = pathlib.Path(sys.argv[1])
    processes = Processes(root / "state")
    script = "setsid sleep 1000 & echo $! >> pids; trap '' TERM; sleep 1000 & echo $! >> pids; wait"
    for _ in range(2):
        pid = processes.spawn(["bash", "-c", script], env={}, cwd=root, on_line=None,
                              mounts={"/opt/ml": root}).pid
        with open(root / "pids", "a") as stream:
            stream.write(f"{pid}\\n")
    time.sleep(1000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kill_9_of_the_server_leaves_no_process(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER), str(tmp_path)],
        cwd=Path(__file__).parents[2],
    )
    pids = tmp_path / "pids"
    try:
        assert until(lambda: pids.exists() and len(pids.read_text().split()) == 6)
    finally:
        server.kill()
        server.wait()
    started = [int(pid) for pid in pids.read_text().split()]
    assert any(alive(pid) for pid in started)
    assert until(lambda: not any(alive(pid) for pid in started))


def test_paths_are_rewritten_only_where_they_are_whole(tmp_path: Path) -> None:
    launch = Launch(
        argv=["prog", "--data=/opt/ml/input", "/opt/mlflow", "/data/opt/ml", "a:/opt/ml"],
        env={"SM_MODEL_DIR": "/opt/ml/model"},
        cwd=Path("/opt/ml/code"),
        scratch=tmp_path,
        mounts={"/opt/ml": Path("/real")},
        hosts={"algo-1": "127.0.0.1"},
    )
    rewritten = by_paths(launch)
    assert list(rewritten.argv[-5:]) == [
        "prog", "--data=/real/input", "/opt/mlflow", "/data/opt/ml", "a:/real",
    ]  # fmt: skip
    assert rewritten.env == {
        "SM_MODEL_DIR": "/real/model",
        "SAGEMAKER_BASE_DIR": "/real",
        "MASTER_ADDR": "127.0.0.1",
    }
    assert rewritten.cwd == Path("/real/code")


@given(chunks=st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"x", b"\n"))))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    buffer, lines = bytearray(), []
    for chunk in chunks:
        buffer += chunk
        lines += cut_lines(buffer)
    *whole, rest = b"".join(chunks).split(b"\n")
    assert lines == whole
    assert bytes(buffer) == rest


def test_a_long_line_arrives_in_pieces(processes: Processes, tmp_path: Path) -> None:
    status, lines = run(processes, "head -c 600000 /dev/zero | tr '\\0' 'x'; echo end", tmp_path)
    assert status == 0
    assert [len(line) for _, line in lines] == [LINE_LIMIT_BYTES, LINE_LIMIT_BYTES, 75715]


def test_what_is_written_in_a_tree_of_its_own_stays_there(
    processes: Processes, tmp_path: Path
) -> None:
    if processes.isolation == "paths":
        pytest.skip("without namespaces a program writes to this machine")
    beside = tmp_path / "beside"
    beside.mkdir()
    for name in ("changed", "deleted"):
        (beside / name).write_text("before")
    script = f"""
        set -e
        cd {beside}; cat changed; rm deleted; echo after > changed; echo more > made
        echo new > {tmp_path}/new; mkdir /made-by-an-instance; echo x > /made-by-an-instance/x
        cd /home/ubuntu; echo photo > photo.jpg; ls {beside}; echo mine > {tmp_path}/tree/kept
    """
    for _ in range(2):  # A second program in the same tree finds what the first left.
        folder = tmp_path / "tree"
        folder.mkdir(exist_ok=True)
        status, lines = run(processes, script, tmp_path, tree=folder)
        if status != 0:
            break
        again = "[ -f /home/ubuntu/photo.jpg ] && [ ! -f deleted ] && cat changed"
        script = f"set -e; cd {beside}; {again}; cat {tmp_path}/new /made-by-an-instance/x"
    assert (status, [line for _, line in lines]) == (0, ["after", "new", "x"])
    assert {one.name: one.read_text() for one in beside.iterdir()} == {
        "changed": "before",
        "deleted": "before",
    }
    assert not (tmp_path / "new").exists() and not Path("/made-by-an-instance").exists()
    assert (folder / "kept").read_text() == "mine\n"
    shutil.rmtree(folder)
