"""ATC: the loss of its paper, and pairs of a sample and a later one of the same folder."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny import built, two_views
from torch import Tensor

from likewise.data.loader import Batch
from likewise.data.open import open_source
from likewise.data.sampling import LaterSampling, with_later
from likewise.errors import UserError
from likewise.methods.atc import ATC
from likewise.seeding import generator_for


def by_hand(method: ATC, anchors: Tensor, positives: Tensor) -> float:
    """Section 3 of the paper, pair by pair: code, residual predictor, W; cross-entropy with the positive's key."""
    losses = []
    for i, anchor in enumerate(anchors):
        code = method.projector(method.encoder(anchor[None]))
        query = (code + method.predictor(code))[0]
        scores = torch.stack([query @ method.weight @ method.keys(each[None])[0] for each in positives])
        losses.append(-math.log(scores.softmax(0)[i].item()))
    return sum(losses) / len(losses)


def test_the_objective_is_that_of_the_paper() -> None:
    method = built(ATC, projection_dim=7, hidden_dim=9, key_momentum=0.5)
    torch.nn.init.normal_(method.weight)
    with torch.no_grad():
        method.encoder.layer.weight *= 3  # its copy follows it half of the way
    anchors, positives = two_views()
    found = method.objective(torch.stack([anchors, positives], dim=1).flatten(0, 1))
    copied = method.keys.copies[0].layer.weight
    torch.testing.assert_close(copied, method.encoder.layer.weight * (1 + 3) / 2 / 3)
    assert found.item() == pytest.approx(by_hand(method, anchors, positives), rel=1e-9)


def test_a_step_has_pairs_of_a_sample_and_a_later_one() -> None:
    firsts = torch.tensor([0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    sampling = LaterSampling(23, firsts, delta=3, batch_size=7, seed=0)
    assert (sampling.batch_size, sampling.steps_per_epoch) == (6, 3)
    found = []
    for step in range(5):
        pairs = sampling.indices(step).reshape(-1, 2)
        assert (pairs[:, 1] - pairs[:, 0] == 3).all()
        found += pairs[:, 0].tolist()
    assert sorted(found) == firsts.tolist()
    assert torch.equal(sampling.indices(7), LaterSampling(23, firsts, delta=3, batch_size=7, seed=0).indices(7))
    assert not torch.equal(sampling.indices(0), sampling.indices(5))


def test_no_pair_crosses_from_one_folder_to_another() -> None:
    frames = ["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/c/0.png", "b/c/1.png", "b/c/2.png"]
    assert with_later(frames, 1).tolist() == [0, 1, 4, 5]
    assert with_later(frames, 2).tolist() == [0, 4]
    assert with_later(frames, 30).tolist() == []
    assert with_later(open_source(np.zeros((9, 8, 8), np.uint8)).ids, 6).tolist() == [0, 1, 2]


def test_the_rows_of_a_view_are_those_of_the_pairs() -> None:
    method = built(ATC)

    class AsTheyAre:
        def __call__(self, samples: Tensor, generator: torch.Generator) -> Tensor:
            return samples

    method.views = AsTheyAre()
    samples = torch.arange(8)
    (view,) = method.make_views(Batch(samples, samples, None), generator_for(0))
    assert torch.equal(view, samples)
    assert method.chance(8) == {"loss": math.log(4)}


def test_where_too_few_have_a_later_one() -> None:
    source = open_source(np.zeros((32, 8, 8), np.uint8))
    method = built(ATC, delta=30)
    with pytest.raises(UserError, match=r"^batch_size must be at most twice the 2 samples that have one of their fold"):
        method.sampling(source, batch_size=8, seed=0)
    assert method.sampling(source, batch_size=4, seed=0).steps_per_epoch == 8
    assert method.notes == ["each step has 2 pairs of samples, of which one comes 30 later"]
    with pytest.raises(UserError, match=r"^delta must be smaller than the films, which have fewer samples, got 31"):
        built(ATC, delta=31).sampling(source, batch_size=8, seed=0)
    for option, value in (("delta", 0), ("key_momentum", 1.5)):
        with pytest.raises(UserError, match=f"^{option} must be "):
            built(ATC, **{option: value})
