"""Makes a network with nothing in it but a loopback interface, and hands it over.

Runs as ``python -I -S new_network.py SOCKET PORT...`` (Linux only), standard library only. SOCKET is the
number of an inherited Unix socket; through it go the descriptors of the network namespace, of the
user namespace that owns it (a user who is not root needs it to enter), and of a listener on
127.0.0.1 for each PORT. The network lives for as long as somebody holds its descriptor.
"""

# os.path, because importing pathlib would add a third to the start time of every process.
# ruff: noqa: PTH123

import ctypes
import fcntl
import os
import socket
import struct
import sys

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x1 | 0x40
_BACKLOG = 128


def enter_network() -> None:
    """A new network namespace; a user who is not root becomes root of a new user namespace."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK | (0 if uid == 0 else _NEW_USER)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    if uid != 0:
        maps = {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
                stream.write(text)


def raise_loopback() -> None:
    """Bring the interface `lo` up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14s", b"lo", _UP_AND_RUNNING, b"")
        fcntl.ioctl(any_socket, _SET_FLAGS, request)


def main() -> None:
    """Make it, send it, end."""
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        enter_network()
        raise_loopback()
        listeners = []
        for port in sys.argv[2:]:
            listeners.append(socket.create_server(("127.0.0.1", int(port)), backlog=_BACKLOG))
        spaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "user")]
        socket.send_fds(parent, [b"."], [*spaces, *(one.fileno() for one in listeners)])


if __name__ == "__main__":
    main()
