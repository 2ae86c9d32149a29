"""What a failure looks like: one plain sentence on stderr and an exit status. No traceback reaches a user."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from typer import Abort
from typer.exceptions import TyperException

from gristmill.core.clock import SystemClock, iso
from gristmill.core.errors import GristmillError
from gristmill.core.ids import new_id
from gristmill.core.settings import default_home

FAILED, BAD_ARGUMENTS, INTERRUPTED = 1, 2, 130


class Failed(Exception):
    """A command did its work and the answer is no: exit 1 after its output, with a sentence if there is one."""


def guarded(command: Callable[[], Any]) -> int:
    """Run `command`; its exit status, every error said in one sentence."""
    try:
        status = command()
        return status if isinstance(status, int) else 0
    except TyperException as error:
        return _misused(error)
    except GristmillError as error:
        return say(error.message, FAILED)
    except Failed as error:
        return say(str(error), FAILED) if str(error) else FAILED
    except (KeyboardInterrupt, Abort):
        return say("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        sys.stdout = None  # the reader went away: Python must not flush into it at exit
        return FAILED
    except OSError as error:
        return say(_unusable(error) if error.filename else _bug(error), FAILED)
    except Exception as error:  # a bug of ours: the user gets a sentence, the log gets the rest
        return say(_bug(error), FAILED)


def say(sentence: str, status: int) -> int:
    """Print one line; what a terminal would obey or cannot show (a sentence may quote a file) is replaced."""
    sys.stderr.write("".join(sign if sign.isprintable() else "�" for sign in " ".join(sentence.split())) + "\n")
    return status


def _unusable(error: OSError) -> str:
    """A file that the user named and this machine does not give: `-o /nowhere/x.png`."""
    return f"{error.filename} cannot be used: {(error.strerror or type(error).__name__).lower()}."


def _misused(error: TyperException) -> int:
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "gristmill"
    return say(f"{message.rstrip('.')}{'' if message.endswith('?') else '.'} See `{command} --help`.", BAD_ARGUMENTS)


def _bug(error: Exception) -> str:
    request_id = getattr(error, "request_id", None) or new_id("cli")
    line = {
        "at": iso(SystemClock().now()),
        "level": "error",
        "logger": "gristmill.cli",
        "message": f"{type(error).__name__}: {error}",
        "request_id": request_id,
        "arguments": sys.argv[1:],
        "traceback": traceback.format_exc(),
    }
    return (
        f"Gristmill itself failed ({type(error).__name__}): the details are in {_write_log(line)} under {request_id}."
    )


def _write_log(line: dict[str, Any]) -> Path:
    log = default_home() / "cli.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
    except OSError:
        sys.stderr.write(line["traceback"])  # nowhere else to put it
    return log
