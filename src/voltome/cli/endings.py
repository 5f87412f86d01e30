"""How a command ends: its exit code, and one line on stderr where it did not do its job.

0 done, 1 a bug in voltome, 2 something the user can mend, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from voltome.cli.application import app
from voltome.errors import VoltomeError

DONE, BUG, USER, STOPPED = 0, 1, 2, 130

_RULES = {"int_parsing": "must be a whole number", "float_parsing": "must be a number"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows `voltome`; by default what the shell gave. Nothing at all asks for the help.

    Returns
    -------
    int
        Exit code: 0 done, 1 a bug, 2 something the user can mend, 130 stopped by Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_process()
    try:
        # Outside its standalone mode Typer raises its usage errors and returns the code of an early exit.
        code = app(given or ["--help"], prog_name="voltome", standalone_mode=False) or DONE
        sys.stdout.flush()
    except SystemExit:  # Typer's own, silent, when the reader of our output has gone
        raise
    except BaseException as error:
        return end_with(error)
    return _say("stopped: nothing was left half-written", STOPPED) if code == STOPPED else int(code)


def _prepare_process() -> None:
    """End on SIGTERM as on Ctrl-C, so that nothing is left half-written; say any file name in any locale.

    The threads that do the work are ours; those of linear algebra would wait by spinning beside them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def end_with(error: BaseException) -> int:
    """Say in one line on stderr why a command did not do its job.

    Parameters
    ----------
    error : BaseException
        What the command raised. VOLTOME_DEBUG=1 in the environment shows its traceback too.

    Returns
    -------
    int
        Exit code.
    """
    if os.environ.get("VOLTOME_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, VoltomeError):
        return _say(f"error: {error}", USER)
    if isinstance(error, typer.TyperException):
        return _say(f"error: {_usage_line(error)}", USER)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _say("stopped: nothing was left half-written", STOPPED)
    if isinstance(error, MemoryError):
        return _say(f"error: memory ran out ({error or 'no detail'}): free some, or give fewer --threads", USER)
    if isinstance(error, BrokenPipeError):
        return _close_stdout()
    if isinstance(error, OSError) and error.strerror:  # the system's word
        where = f" ({error.filename})" if error.filename else ""
        return _say(f"error: {error.strerror}{where}: check the path, its permissions and the free space", USER)
    return _say(
        f"error: this is a bug in voltome ({type(error).__name__}: {error}): please report it in the project's issue "
        "tracker with the command and the traceback, which VOLTOME_DEBUG=1 shows",
        BUG,
    )


def _say(message: str, code: int) -> int:
    """One line on stderr, whatever the message holds."""
    print(" ".join(message.split()), file=sys.stderr)
    return code


def _close_stdout() -> int:
    """The reader of our output has gone (`voltome info x | head -1`): say nothing, not even at interpreter exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BUG


def _usage_line(error: typer.TyperException) -> str:
    """Typer's usage error as value, rule and next step."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "voltome"
    line = error.format_message()
    parameter = getattr(error, "param", None)
    rejections: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()  # pydantic's, behind Typer's message
    if parameter is not None and rejections:
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        value = rejections[0]["input"]
        rule = error.message.removeprefix("Value error, ").replace(f"{value!r} is not one of", "must be one of")
        line = f"{name} {_RULES.get(rejections[0]['type'], rule).rstrip('.')} (got {value!r})"
    return f"{line.rstrip('.')}: see {command} --help"
