"""The command line: a table of commands, each the function of the same name, and how their results are printed."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from types import FrameType
from typing import Any

import cyclopts
from cyclopts import App, Parameter

from likewise import __version__
from likewise.console import printable
from likewise.errors import Interrupted, UserError, memory_is_full

COMMANDS = {
    "demo": "likewise.commands.demo:demo",
    "study": "likewise.commands.study:study",
    "pretrain": "likewise.commands.pretrain:pretrain",
    "evaluate": "likewise.commands.evaluate:evaluate",
    "pack": "likewise.commands.pack:pack",
    "embed": "likewise.commands.embed:embed",
    "search": "likewise.commands.search:search",
    "fit": "likewise.commands.fit:fit",
    "predict": "likewise.commands.predict:predict",
    "suggest": "likewise.commands.suggest:suggest",
    "explore": "likewise.commands.explore:explore",
    "distill": "likewise.commands.distill:distill",
    "explain": "likewise.commands.explain:explain",
    "tune": "likewise.commands.tune:tune",
    "export": "likewise.commands.export:export",
    "clean": "likewise.commands.clean:clean",
    "serve": "likewise.commands.serve:serve",
    "generate": "likewise.commands.generate:generate",
    "compare": "likewise.commands.compare:compare",
    "rl": "likewise.commands.rl:rl",
    "report": "likewise.commands.report:write_report",
    "methods": "likewise.commands.methods:list_methods",
    "views": "likewise.commands.views:show_views",
}
# What else is needed, also loaded only then: a command's options as they are typed, the line that answers a mistake,
# and whether this process prints results.
AS_TYPED = "likewise.commands.command_line:as_typed"
MESSAGE_OF = "likewise.commands.command_line:message_of"
IS_FIRST_PROCESS = "likewise.distributed:is_first_process"

GLOBAL_FLAGS = {
    "--json": "print one JSON object on stdout",
    "--debug": "show the traceback of an error",
}
OF_PATHS = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EFBIG, errno.EIO, errno.ESTALE, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.EXDEV),
)
MOST_LETTERS = 1500  # of an error's line
DONE, FAULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(tokens: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 a user's mistake, 1 a bug in likewise, 130 interrupted."""
    with _interrupts() as interrupts:
        return _run(tokens, interrupts)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The interrupts so far: one that comes inside a library can end as any error of that library."""
    found: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        found.append(number)
        signal.default_int_handler(number, frame)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield found
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(tokens: list[str] | None, interrupts: list[int]) -> int:
    words = sys.argv[1:] if tokens is None else tokens
    flags = {flag for flag in GLOBAL_FLAGS if flag in words}
    words = [word for word in words if word not in GLOBAL_FLAGS]
    try:
        result = build_app(words)(words, exit_on_error=False, print_error=False)
        if result is not None and _load(IS_FIRST_PROCESS)():
            # A page or a service is served until the command is asked to end, from when its address is printed.
            with getattr(result, "until_stopped", nullcontext)():
                _print(result, as_json="--json" in flags)
                sys.stdout.flush()
            if getattr(result, "incomplete", False):
                return MISTAKE  # stderr says why
    except (UserError, cyclopts.CycloptsError) as error:
        return _fail(_load(MESSAGE_OF)(error), error, MISTAKE, flags)
    except Interrupted as stopped:
        if not _load(IS_FIRST_PROCESS)():
            return DONE  # a helper that fails would have the first process killed, which still has to say how to resume
        print(printable(str(stopped)), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `likewise methods | head` is no error
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if interrupts:
            return INTERRUPTED
        if line := _of_the_machine(error):
            return _fail(line, error, MISTAKE, flags)
        return _fault(error, flags)
    return DONE


def _of_the_machine(error: Exception) -> str | None:
    """The line for what the machine refuses, with a remedy; None for another error."""
    if memory_is_full(error):
        return "memory is full: take a smaller --batch-size or fewer samples"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "no more threads can be started: end other programs, or raise the limit (ulimit -u)"
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "the home folder that ~ stands for is not known: write the path out"
    if not isinstance(error, OSError):
        return None
    where = repr(str(error.filename)) if error.filename else "a file"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{where} can't be read or written ({error.strerror}): change its permissions, or take another folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {where} is full: free some space, or take a folder on another disk"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{where} can't be opened ({error.strerror}): raise the limit (ulimit -n)"
    if error.errno in OF_PATHS:
        return f"{where} can't be read or written ({error.strerror}): name another file or folder"
    return None


def _fault(error: Exception, flags: set[str]) -> int:
    line = f"a bug in likewise, --debug shows its traceback: {type(error).__name__}: {error}"
    return _fail(line, error, FAULT, flags)


def build_app(words: list[str]) -> App:
    """The commands, for a command line: only the one that it calls is imported; for help, all are."""
    app = App(
        name="likewise",
        help="Learn from unlabelled data: train an encoder, measure what it is worth with few labels, use it.",
        help_epilogue="Every command takes "
        + " and ".join(f"{flag} ({what})" for flag, what in GLOBAL_FLAGS.items())
        + ".",
        version=__version__,
        # Flags and values only where they mean something: no --empty-labels-per-class, several values after one name.
        default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
        help_format="markdown",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    called = words[0] if words and words[0] in COMMANDS else None
    for name, target in COMMANDS.items():
        if called in (None, name):
            app.command(_load(AS_TYPED)(_load(target), words), name=name)
        else:
            app.command(target, name=name)
    return app


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _print(result: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_json()))
    elif hasattr(result, "__rich__"):
        from rich.console import Console

        Console().print(result)
    else:
        print(printable(str(result)))


def _fail(line: str, error: Exception, status: int, flags: set[str]) -> int:
    if "--debug" in flags:
        import traceback

        print(printable("".join(traceback.format_exception(error))), file=sys.stderr)
    line = " ".join(line.split())
    # A value or a name from elsewhere may be a megabyte.
    line = line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS // 2]} … {line[-MOST_LETTERS // 2 :]}"
    print(printable(f"likewise: {line}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
