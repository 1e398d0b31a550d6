"""The floor of the house: the one error that means "the user can mend this"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake, told in one line: what is wrong, the value it got, and the remedy.

    The command line prints the line and exits with status 2; from Python it is a `ValueError`.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """", did you mean 'resnet18'?" for the known name closest to `name`, or "" when none is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop and did, with a checkpoint; the message is how to go on."""
