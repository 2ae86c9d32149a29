"""A forecast in a process of its own, so that the controller's own work never waits for a fit.

`python -m gristmill.books.forecast.process json|svg|png` reads a question and writes the answer.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import msgspec

from gristmill.core.errors import DeadlineExceeded, GristmillError, Internal, Unprocessable, from_code

_log = logging.getLogger(__name__)
_LIMIT_S = 120.0
_NICENESS = 5  # at 10 a fit of a second took minutes on a machine whose every core was busy
# the matrices are small: BLAS's threads only wait for each other, for minutes where the machine is busy
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_REFUSED = 3  # exit status: the answer is an error


class _Refusal(msgspec.Struct):
    code: str
    message: str


def ask(question: msgspec.Struct, form: str = "json") -> bytes:
    """The answer as JSON, or drawn. Raises what the question deserves; DeadlineExceeded."""
    command = [sys.executable, "-m", "gristmill.books.forecast.process", form]
    try:
        asked = msgspec.json.encode(question)
        done = subprocess.run(command, input=asked, capture_output=True, timeout=_LIMIT_S, env=os.environ | _ONE_THREAD)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"The forecast took more than {_LIMIT_S:.0f} s: ask it of fewer runs.") from None
    if done.returncode == _REFUSED:
        refusal = msgspec.json.decode(done.stdout, type=_Refusal)
        raise from_code(refusal.code, refusal.message)
    if done.returncode:
        _log.error("a forecast failed: %s", done.stderr.decode(errors="replace"))
        raise Internal("The forecast failed: the controller's log tells why.")
    return done.stdout


def main(form: str) -> int:
    os.nice(_NICENESS)
    try:
        sys.stdout.buffer.write(_answered(sys.stdin.buffer.read(), form))
    except GristmillError as error:
        sys.stdout.buffer.write(msgspec.json.encode(_Refusal(error.code, error.message)))
        return _REFUSED
    return 0


def _answered(asked: bytes, form: str) -> bytes:
    try:
        from gristmill.books.forecast import answer, pictures, question
    except ImportError:
        raise Unprocessable("A forecast needs scipy: install gristmill[forecast].") from None
    document = answer.answer(msgspec.json.decode(asked, type=question.Question))
    return msgspec.json.encode(document) if form == "json" else pictures.draw(document, form)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
