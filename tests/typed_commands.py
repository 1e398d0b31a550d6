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
