from __future__ import annotations

import pytest
import torch

from likewise.modules import random_quantizer
from likewise.modules.random_quantizer import RandomQuantizer
from likewise.seeding import generator_for


def drawn(seed: int = 0) -> RandomQuantizer:
    quantizer = RandomQuantizer(12, codes=9, code_dim=4).double()
    quantizer.draw(generator_for(seed))
    return quantizer


@pytest.mark.parametrize("tile", [1, 30, 2**22])
def test_the_nearest_entry_is_that_of_the_papers_equation(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_quantizer, "TILE", tile)
    quantizer = drawn()
    features = torch.randn(3, 7, 12, generator=generator_for(1), dtype=torch.float64)
    codes = quantizer(features)
    assert codes.shape == (3, 7)
    for i in range(3):
        for t in range(7):
            projected = [float(features[i, t] @ quantizer.projection[:, j]) for j in range(4)]
            length = sum(x * x for x in projected) ** 0.5
            distances = [
                sum((x / length - float(e)) ** 2 for x, e in zip(projected, entry, strict=True))
                for entry in quantizer.codebook
            ]
            assert codes[i, t] == distances.index(min(distances))
    assert len(codes.unique()) > 3


def test_projection_and_codebook_are_a_function_of_the_generator() -> None:
    one, again, other = drawn(1).state_dict(), drawn(1).state_dict(), drawn(2).state_dict()
    assert one.keys() == {"projection", "codebook"}
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)
    torch.testing.assert_close(one["codebook"].norm(dim=1), torch.ones(9, dtype=torch.float64))
    large = RandomQuantizer(300, codes=2, code_dim=100)
    large.draw(generator_for(0))
    bound = (6 / 400) ** 0.5  # Xavier's
    assert large.projection.abs().max() <= bound
    assert large.projection.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_nothing_of_it_is_trained() -> None:
    assert list(drawn().parameters()) == []
