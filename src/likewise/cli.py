"""The commands: the functions of `likewise.commands.api`, and how their answers are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cyclopts
from cyclopts import App, Parameter

from likewise import __version__
from likewise.commands.demo import demo
from likewise.commands.embed import Embedded, embed
from likewise.commands.evaluate import evaluate
from likewise.commands.generate import generate
from likewise.commands.methods import list_methods
from likewise.commands.pretrain import pretrain
from likewise.commands.report import write_report
from likewise.commands.search import Matches, search
from likewise.commands.study import study
from likewise.commands.views import show_views
from likewise.errors import Interrupted, UserError

DONE, FAULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130

app = App(
    name="likewise",
    help="Learn from data that nobody has labelled: train an encoder, prove what it is worth, use it.",
    version=__version__,
    # Flags and values only where they mean something: no --empty-labels-per-class, several values after one name.
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "study": study,
    "pretrain": pretrain,
    "evaluate": evaluate,
    "embed": embed,
    "search": search,
    "generate": generate,
    "report": write_report,
    "methods": list_methods,
    "views": show_views,
}
for name, function in COMMANDS.items():
    app.command(function, name=name)

GLOBAL_FLAGS = {
    "--json": "print one JSON object on stdout",
    "--debug": "show the traceback of an error",
}
app.help_epilogue = (
    "Every command takes " + " and ".join(f"{flag} ({what})" for flag, what in GLOBAL_FLAGS.items()) + "."
)


def main(tokens: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 a user's mistake, 1 a fault of ours, 130 interrupted."""
    words = sys.argv[1:] if tokens is None else tokens
    flags = {flag for flag in GLOBAL_FLAGS if flag in words}
    words = [word for word in words if word not in GLOBAL_FLAGS]
    try:
        result = app(words, exit_on_error=False, print_error=False)
        show(result, as_json="--json" in flags)
    except (UserError, cyclopts.CycloptsError) as error:
        return _fail(error, MISTAKE, flags)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `likewise methods | head` is no fault
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _fail(error, FAULT, flags)
    return DONE


def _fail(error: Exception, status: int, flags: set[str]) -> int:
    if "--debug" in flags:
        import traceback

        traceback.print_exception(error)
    fault = "" if status == MISTAKE else f"a fault of likewise, --debug shows where: {type(error).__name__}: "
    line = " ".join(str(error).split())
    print(f"likewise: {fault}{line}", file=sys.stderr)
    return status


def show(result: Any, *, as_json: bool) -> None:
    """Print what a command found: for people, or as one JSON object."""
    if result is None:
        return
    if as_json:
        print(json.dumps(as_object(result)))
    elif hasattr(result, "__rich__") or isinstance(result, list):
        from rich.console import Console

        Console().print(result if hasattr(result, "__rich__") else _methods_table(result))
    else:
        print(as_text(result))


def as_object(result: Any) -> dict[str, Any]:
    """A command's answer as what JSON can hold."""
    if isinstance(result, dict):
        return dict(result)
    if isinstance(result, Matches):
        return {"matches": [match._asdict() for match in result]}
    if isinstance(result, list):
        return {"methods": result}
    if isinstance(result, str):
        return {"text": result}
    if isinstance(result, Path):
        return {"out": str(result)}
    if isinstance(result, Embedded):
        return result._asdict()
    return {"run": str(result.path), **result.config, "verdict": result.verdict and result.verdict.to_dict()}


def as_text(result: Any) -> str:
    if isinstance(result, (str, Path)):
        return str(result)
    if isinstance(result, Embedded):
        return f"{result.out}: {result.rows:,} rows, {result.dim} dimensions"
    return f"{result.path}: {result.config['seconds']:.0f} s, {result.config['samples_per_second']:,.0f} samples/s"


def _methods_table(rows: list[dict[str, str]]) -> Any:
    from rich.table import Table

    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*row.values())
    return table


if __name__ == "__main__":
    sys.exit(main())
