"""Commands as they are typed, in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from likewise.cli import main


def answered(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """What a command says with --json."""
    capsys.readouterr()
    status = main([*map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a command is refused with, exit status 2."""
    capsys.readouterr()
    status = main([*map(str, words)])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("likewise: ")]
    assert status == 2, err
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    assert "Traceback" not in err
    assert out == ""
    return lines[0].removeprefix("likewise: ")
