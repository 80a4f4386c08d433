"""Becomes another program that ends when its parent ends, and that is not root.

Run as a script with an isolated interpreter, in a fresh process, because these steps are not safe between fork and
exec in a process with threads:

    python -I -S launcher.py --parent PID --death-signal N [--uid N --gid N] -- program argument…

PostgreSQL refuses to run as root. Under root, the program gets another user id, but keeps the one capability it needs
to reach its files through folders that only root may enter (a home of mode 0700, an installation under /root).

Imports the standard library only, and nothing of Assay: it must start in milliseconds.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import struct
import sys

# From Linux <linux/prctl.h> and <linux/capability.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2


def main() -> None:
    """Read the arguments, prepare this process, become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()

    os.umask(0o077)
    if options.uid is not None:
        _become_user(options.uid, options.gid)
    _die_with_parent(options.parent, options.death_signal)
    os.execv(options.program[0], options.program)


def _die_with_parent(parent: int, death_signal: int) -> None:
    # Last of the steps: the kernel forgets the death signal when the user id changes.
    if sys.platform == "linux":
        _check(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        sys.exit("the process that asked for this one has ended")


def _become_user(uid: int, gid: int) -> None:
    held = _permitted_capabilities()
    if held:
        _check(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    # The weaker one first: it only reads and enters folders. Containers often grant only the other.
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if held & (1 << capability):
            _keep_only(capability)
            return


def _permitted_capabilities() -> int:
    try:
        with open("/proc/self/status") as status:
            fields = dict(line.split(":", 1) for line in status)
    except FileNotFoundError:
        return 0
    return int(fields.get("CapPrm", "0").strip(), 16)


def _keep_only(capability: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    bit = 1 << capability
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    # Two words each of (effective, permitted, inheritable); capabilities above 31 are in the second three.
    _check(libc.capset(header, struct.pack("=6I", bit, bit, bit, 0, 0, 0)), "capset")
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "PR_CAP_AMBIENT_RAISE")


def _check(result: int, call: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
