"""Gives one program its own view of the file system and its own host name, then becomes it.

Runs as ``python -I -S sandbox.py VIEW PROGRAM ARGUMENT...`` (Linux only), standard library only.
VIEW is JSON: ``{"mounts": {"/opt/ml": "/real/folder"}, "hostname": "algo-1"|null,
"hosts_file": path|null, "cwd": path, "scratch": empty folder, "join": [descriptor...]}``, the last being
inherited namespaces to enter first: a user's, if any, and a network's. With ``"tree": folder`` the
program also gets a file tree of its own: it reads this machine's files, and what it writes stays in that
folder (see `own_tree`). The mounts live in a mount namespace of the process, so nothing is created on the
real file system and nothing outlives it.
"""

# os.path, because importing pathlib would add a third to the start time of every process.
# ruff: noqa: PTH101, PTH102, PTH103, PTH112, PTH115, PTH116, PTH118, PTH120, PTH123, PTH211

import contextlib
import ctypes
import json
import os
import re
import sys

_NEW_MOUNTS, _NEW_HOSTNAME, _NEW_USER = 0x00020000, 0x04000000, 0x10000000
_BIND, _MOVE, _RECURSIVE, _PRIVATE = 4096, 8192, 16384, 1 << 18
_READ_ONLY, _REMOUNT = 1, 32
_SHARED = ("/proc", "/sys", "/dev")
_HOMES = ("/home/ec2-user", "/home/ubuntu")
_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    names = [None if name is None else os.fsencode(name) for name in (source, target, kind)]
    given = os.fsencode(options) or None
    _call(f"mount {source} on {target}", _libc.mount(*names, ctypes.c_ulong(flags), given))


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


def own_tree(folder: str) -> str:
    """Lay out a root in which writing changes nothing outside `folder`; where it is.

    Each folder of this machine is the lower layer of an overlay whose upper one lies in `folder`. The
    way down to `folder` itself, which cannot be below its own overlay, is made anew with overlays beside
    it. What the kernel does not take as a layer is this machine's own, as are proc, sys and dev.
    """
    real = os.path.realpath(folder)
    root = os.path.join(real, "tree")
    os.makedirs(root + real, exist_ok=True)
    _mount(real, root + real, None, _BIND)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        points = [line.split()[4].replace("\\040", " ") for line in stream]
    others = sorted({point for point in points if not f"{point}/".startswith(f"{real}/")} - {"/"})
    _lay("/", root, real, others)
    for home in _HOMES:
        os.makedirs(root + home, exist_ok=True)
    return root


def _lay(shown: str, root: str, real: str, points: list[str]) -> None:
    """Show what is in the folder `shown`, an ancestor of `real`, below `root`."""
    for entry in os.scandir(shown):
        inside = root + entry.path
        if entry.is_symlink():
            if not os.path.lexists(inside):
                os.symlink(os.readlink(entry.path), inside)
        elif entry.is_dir():
            os.makedirs(inside, exist_ok=True)
            if real.startswith(f"{entry.path}/"):
                os.chmod(inside, entry.stat().st_mode & 0o7777)
                _lay(entry.path, root, real, points)
            elif entry.path != real:
                _show(entry.path, inside, real)
                below = f"{entry.path}/"
                for point in points:
                    if point.startswith(below) and entry.path not in _SHARED:
                        _bind_over(point, root + point)
        elif entry.is_file():
            if not os.path.lexists(inside):
                os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o600))
            _bind_over(entry.path, inside, _READ_ONLY)


def _show(path: str, inside: str, real: str) -> None:
    """The folder `path` at `inside`, with what is written there kept in `real`."""
    layers = [f"{real}/{layer}{path}" for layer in ("upper", "work")]
    try:
        if path in _SHARED:
            raise OSError(f"{path} is not a layer")
        for layer in layers:
            os.makedirs(layer, exist_ok=True)
        os.chmod(layers[0], os.stat(path).st_mode & 0o7777)
        lower, upper, work = (re.sub(r"([\\:,])", r"\\\1", name) for name in (path, *layers))
        options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
        _mount("overlay", inside, "overlay", 0, options)
        # The kernel makes it so that only a true root can delete it.
        os.chmod(f"{layers[1]}/work", 0o700)
    except OSError:
        _bind_over(path, inside)


def _bind_over(path: str, inside: str, more: int = 0) -> None:
    """This machine's own `path`; nothing where the kernel refuses."""
    with contextlib.suppress(OSError):
        _mount(path, inside, None, _BIND | _RECURSIVE)
        if more:
            _mount("none", inside, None, _BIND | _REMOUNT | more)


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
    if view["tree"] is not None:
        os.chroot(own_tree(view["tree"]))
    os.chdir(view["cwd"])
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
