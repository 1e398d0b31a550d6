"""Errors that the user can fix, and the hints in their messages."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

NO_MEMORY = re.compile("not enough memory|out of memory|can't allocate memory|cannot allocate memory", re.IGNORECASE)


class UserError(ValueError):
    """A user's mistake, in one line: what is wrong, the value it got, and the remedy.

    The command line prints the line and exits with status 2; from Python it is a `ValueError`.
    """


class NotInstalled(UserError):
    """A package that not everyone has is absent."""


def nearest(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'resnet18'?" for the known name closest to `name`, or "" when none is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.55)
    return f", did you mean '{close[0]}'?" if close else ""


def needs(module: str, extra: str) -> Any:
    """A module that not everyone has installed.

    Raises:
        UserError: when it is not there, with the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise NotInstalled(f"this needs {package}, which is not installed: pip install 'likewise[{extra}]'") from error


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that there is no more memory, of the processor or of an accelerator."""
    # torch has its own words: of an accelerator a class, of the processor a sentence.
    full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return full or (isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None)


@contextmanager
def no_panic(what: str) -> Iterator[None]:
    """A panic of a library written in Rust, which is no `Exception`, becomes a `UserError` about `what`."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{what} made its library fail: {reason}") from error


class Interrupted(KeyboardInterrupt):
    """What runs long was asked to stop and did, with what it has done kept; the message is how to go on."""
