"""What trainings on many GPUs need is computed, and the guide says what was computed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_guide_has_the_figures_of_the_command() -> None:
    command = [sys.executable, "-m", "benchmarks.large_scale"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line for line in said if line.startswith("|")]
    assert len(rows) > 15
    guide = (ROOT / "docs" / "guides" / "large.md").read_text()
    assert [row for row in rows if f"{row}\n" not in guide] == []
