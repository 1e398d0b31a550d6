"""The method that CONTRIBUTING.md shows is whole: it runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from likewise.encoders import image_encoder
from likewise.losses import alignment, uniformity
from likewise.methods import METHODS
from likewise.methods.base import Method


def test_the_method_in_40_lines_is_complete() -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n# src/likewise/methods/(\w+)\.py\n(.*?)```", text, re.DOTALL)
    assert code
    assert code[1].replace("_", "-") not in METHODS  # an example, not a copy
    assert code[2].count("\n") <= 40
    scope: dict[str, Any] = {}
    exec(code[2], scope)
    (cls,) = (c for c in scope.values() if isinstance(c, type) and issubclass(c, Method) and c is not Method)
    assert f"arXiv:{cls.paper}" in cls.__doc__
    torch.manual_seed(0)
    method = cls(image_encoder("resnet8", channels=1, size=8), spreading=0.5)
    views = torch.randn(2, 6, 1, 8, 8)
    z1, z2 = (method.embed(view) for view in views)
    expected = alignment(z1, z2) + 0.5 * (uniformity(z1) + uniformity(z2)) / 2
    assert torch.isclose(method.objective(*views), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        method.objective(*views).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters())
