"""`python -m gristmill.lab.convert SOURCE TARGET [--trust-code]`: one conversion, in a process that can do little else.

Started by `gristmill models convert` with an empty environment in a scratch folder. It gives up its network and takes
its limits before it opens the file: whatever the file's code does, it does without a network, for a bounded time, in
bounded memory and disk. It runs as the user who called it, and can read what that user can read.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from pathlib import Path

from gristmill.core import plugins
from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.frameworks.importing import Converter

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_CPU_S = 900
_ADDRESSES = 64 * 2**30  # frameworks map far more than they use
_BEYOND_SOURCE = 2**30


def main(arguments: list[str]) -> int:
    source, target = (Path(argument) for argument in arguments[:2])
    alone = restrict(source.stat().st_size)
    try:
        converter = converter_of(source, target)
        tensors = converter.convert(source, target, "--trust-code" in arguments)
    except GristmillError as error:
        print(json.dumps({"error": error.message}))
        return 1
    except Exception as error:  # of a library, on a file that may be anything
        print(json.dumps({"error": f"{source.name} could not be converted: {type(error).__name__}."}))
        return 1
    print(json.dumps({"tensors": tensors, "network": "none" if alone else "the caller's"}))
    return 0


def converter_of(source: Path, target: Path) -> Converter:
    """Raises Unprocessable when no framework converts the one into the other."""
    for name in plugins.names("converters"):
        converter: Converter = plugins.load("converters", name)()
        if source.suffix.lower() in converter.sources:
            if target.suffix.lower() != converter.target:
                raise Unprocessable(f"{source.name} is converted into a {converter.target} file, not {target.name}.")
            return converter
    raise Unprocessable(f"{source.name} is no format that is converted: .pt, .pth, .bin, .ckpt and .h5 are.")


def restrict(source_bytes: int) -> bool:
    """No new rights, no core files, limits on time, memory and written bytes; True if the network is gone too."""
    for limit, most in (
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_AS, _ADDRESSES),
        (resource.RLIMIT_FSIZE, 4 * source_bytes + _BEYOND_SOURCE),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # a network namespace of its own has no interface that is up; some systems let only root make one
    return bool(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWNET) == 0)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # the file's code gets no second chance in an exit handler
