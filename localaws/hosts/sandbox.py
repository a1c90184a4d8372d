"""Gives one program its own view of the file system and its own host name, then becomes it.

Runs as ``python -I -S sandbox.py VIEW PROGRAM ARGUMENT...`` (Linux only), standard library only.
VIEW is JSON: ``{"mounts": {"/opt/ml": "/real/folder"}, "hostname": "algo-1"|null,
"hosts_file": path|null, "cwd": path, "scratch": empty folder, "join": [descriptor...]}``, the last being
inherited namespaces to enter first: a user's, if any, and a network's. The mounts live in a mount
namespace of the process, so nothing is created on the real file system and nothing outlives it.
"""

# os.path, because importing pathlib would add a third to the start time of every process.
# ruff: noqa: PTH102, PTH103, PTH112, PTH115, PTH118, PTH120, PTH123, PTH211

import ctypes
import json
import os
import sys

_NEW_MOUNTS, _NEW_HOSTNAME, _NEW_USER = 0x00020000, 0x04000000, 0x10000000
_BIND, _MOVE, _RECURSIVE, _PRIVATE = 4096, 8192, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    names = [None if name is None else os.fsencode(name) for name in (source, target, kind)]
    _call(f"mount {source} on {target}", _libc.mount(*names, ctypes.c_ulong(flags), None))


def join(descriptors: list[int]) -> None:
    """Enter namespaces that somebody else made."""
    for descriptor in descriptors:
        _call("setns", _libc.setns(descriptor, 0))
        os.close(descriptor)


def enter_namespaces() -> None:
    """New mount and host name namespaces; a user who is not root becomes root of a new user one."""
    uid, gid = os.getuid(), os.getgid()
    wanted = _NEW_MOUNTS | _NEW_HOSTNAME | (0 if uid == 0 else _NEW_USER)
    _call("unshare", _libc.unshare(wanted))
    if uid != 0:
        maps = {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
                stream.write(text)
    _mount("none", "/", None, _RECURSIVE | _PRIVATE)


def open_up(folder: str, scratch: str) -> None:
    """Lay a writable copy over `folder` in which every entry is the real one, bound in place."""
    _mount("tmpfs", scratch, "tmpfs", 0)
    for entry in os.scandir(folder):
        copy = os.path.join(scratch, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), copy)
            continue
        if entry.is_dir():
            os.mkdir(copy)
        else:
            os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
        _mount(entry.path, copy, None, _BIND | _RECURSIVE)
    _mount(scratch, folder, None, _MOVE)


def bind(inside: str, outside: str, scratch: str, bound: list[str]) -> None:
    """Show the folder `outside` at `inside`, making the mount point without touching the disk.

    Below one of the folders in `bound` the mount point is made in that folder.
    """
    parent = inside
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":
        raise OSError(f"{inside} has no parent folder on this machine that could be covered")
    if parent != inside:
        if not any(f"{parent}/".startswith(f"{folder}/") for folder in bound):
            open_up(parent, scratch)
        os.makedirs(inside)
    _mount(outside, inside, None, _BIND | _RECURSIVE)
    bound.append(inside)


def main() -> None:
    """Build the view, then exec; exit 127 or 126 as a shell does when the program cannot start."""
    view, argv = json.loads(sys.argv[1]), sys.argv[2:]
    join(view["join"])
    enter_namespaces()
    bound: list[str] = []
    for inside in sorted(view["mounts"]):
        bind(inside, view["mounts"][inside], view["scratch"], bound)
    if view["hosts_file"] is not None:
        _mount(view["hosts_file"], "/etc/hosts", None, _BIND)
    if view["hostname"] is not None:
        name = view["hostname"].encode()
        _call("sethostname", _libc.sethostname(name, len(name)))
    os.chdir(view["cwd"])
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
