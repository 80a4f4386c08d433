"""The process in which programs run: reads jobs, writes verdicts, ends when its input ends.

The machine keeps programs within their limits. What this adds is for the day it does not: a cap on the memory of
the process, no core files, no output but verdicts.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import BinaryIO

from assay.sandbox.hog.code import Program
from assay.sandbox.hog.compiler import compile_program
from assay.sandbox.hog.limits import HogLimits
from assay.sandbox.hog.running import run_program
from assay.sandbox.hog.verdict import judge
from assay.sandbox.hog.wire import HEADER, decode, decode_rule, encode_verdict, frame

# The cost model counts 8 bytes where Python takes up to 100, so this is far above a program's 64 MiB.
_MAX_ADDRESS_SPACE = 4 * 1024**3

_compiled = lru_cache(maxsize=64)(compile_program)


def main() -> None:
    """Serve until the parent closes the pipe."""
    requests, replies = _claim_pipes()
    _limit_process()
    replies.write(frame(b""))
    replies.flush()
    while (body := _read(requests)) is not None:
        _serve(body, requests, replies)


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from everything else in the process, which reads nothing and writes to nowhere."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return requests, replies


def _limit_process() -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))


def _read(requests: BinaryIO) -> bytes | None:
    header = requests.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    [size] = HEADER.unpack(header)
    body = requests.read(size)
    return body if len(body) == size else None


def _serve(body: bytes, requests: BinaryIO, replies: BinaryIO) -> None:
    job = decode(body)
    program: Program = _compiled(job["source"])
    rule, limits = decode_rule(job["rule"]), HogLimits(**job["limits"])
    for _ in range(job["cases"]):
        case = _read(requests)
        if case is None:
            return
        verdict = judge(run_program(program, decode(case), limits=limits), rule)
        replies.write(frame(encode_verdict(verdict)))
        # Each at once: if the next case never ends, the parent must know that this one did.
        replies.flush()


if __name__ == "__main__":
    main()
