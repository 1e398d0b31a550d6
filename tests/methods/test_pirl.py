from __future__ import annotations

import math

import pytest
import torch
from patchwise import Still, batch, built, images
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.pirl import PIRL
from likewise.seeding import generator_for
from likewise.views.pretext import mosaic

SMALL = {"projection_dim": 6, "negatives": 11, "temperature": 0.3}


def test_the_objective_is_the_papers_equation() -> None:
    pirl = built(PIRL, balance=0.3, **SMALL)
    image, patches, indices = pirl.make_views(batch(), generator_for(0))
    bank = pirl.bank.vectors.clone()
    others = pirl.bank.others(indices, pirl.negatives, generator_for(pirl.training_context.seed, pirl.global_step))

    def nce(v: Tensor, row: Tensor) -> Tensor:
        h = torch.exp(F.cosine_similarity(row, v, dim=0) / 0.3)
        return -torch.log(h / (h + sum(torch.exp(F.cosine_similarity(m, v, dim=0) / 0.3) for m in others)))

    loss = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        f = pirl.f(pirl.encoder(image[i : i + 1]))[0]
        g = pirl.all_patches(torch.cat([pirl.each_patch(z) for z in pirl.encoder(patches[i])]))
        loss += (0.3 * nce(g, bank[i]) + 0.7 * nce(f, bank[i])) / 4
    assert pirl.objective(image, patches, indices)["loss"].item() == pytest.approx(loss.item(), rel=1e-10)


def test_the_bank_follows_the_image_not_its_patches() -> None:
    pirl = built(PIRL, bank_momentum=0.25, **SMALL)
    views = pirl.make_views(batch(), generator_for(0))
    before = pirl.bank.vectors.clone()
    f = F.normalize(pirl.embed(views[0]), dim=1)
    freshness = pirl.objective(*views)["bank_freshness"]
    assert torch.allclose(pirl.bank.vectors[:4], F.normalize(0.25 * before[:4] + 0.75 * f, dim=1))
    assert torch.equal(pirl.bank.vectors[4:], before[4:])
    assert freshness.item() == pytest.approx((f * before[:4]).sum(1).mean().item())


def test_negatives_are_rows_of_other_images_drawn_for_each_step() -> None:
    pirl = built(PIRL, **{**SMALL, "negatives": 400})
    own = torch.tensor([3, 0, 19, 7])
    rows = (
        (pirl.bank.others(own, pirl.negatives, generator_for(0))[:, None] == pirl.bank.vectors).all(2).nonzero()[:, 1]
    )
    assert len(rows) == 400
    assert set(rows.tolist()) == set(range(20)) - set(own.tolist())
    assert torch.equal(
        pirl.bank.others(own, pirl.negatives, generator_for(0)), pirl.bank.others(own, pirl.negatives, generator_for(0))
    )


def test_views_are_the_image_and_its_shuffled_patches() -> None:
    pirl = built(PIRL, **SMALL)
    image, patches, indices = pirl.make_views(batch(), generator_for(0))
    cut = pirl.grid.cut(images(), generator_for(0))
    assert torch.equal(image, images())
    assert torch.equal(indices, torch.arange(4))
    same = (patches[:, :, None] == cut[:, None]).flatten(3).all(3)
    assert (same.sum(1) == 1).all()
    assert (same.sum(2) == 1).all()
    assert not same.diagonal(dim1=1, dim2=2).all()
    assert isinstance(pirl.views, Still)
    assert pirl.views.made == ["strong", "strong"]


def test_images_and_their_rows_are_shown_to_the_diagnostics() -> None:
    pirl = built(PIRL, **SMALL)
    image, patches, indices = pirl.make_views(batch(), generator_for(0))
    rows = pirl.bank.vectors[:4].clone()
    pirl.objective(image, patches, indices)
    assert pirl.tracked is not None
    assert torch.equal(pirl.tracked[0], pirl.embed(image))
    assert torch.equal(pirl.tracked[1], rows)


def test_chance_is_what_equal_rows_give() -> None:
    pirl = built(PIRL, **SMALL)
    pirl.bank.vectors.copy_(pirl.bank.vectors[:1].expand(20, 6))
    assert pirl.chance(4) == {"loss": math.log(12)}
    answer = pirl.objective(*pirl.make_views(batch(), generator_for(0)))
    assert answer["loss"].item() == pytest.approx(math.log(12))


def test_the_bank_is_kept_with_the_weights() -> None:
    pirl, other = built(PIRL, **SMALL), built(PIRL, **SMALL)
    pirl.objective(*pirl.make_views(batch(), generator_for(0)))
    assert not torch.equal(other.bank.vectors, pirl.bank.vectors)
    other.load_state_dict(pirl.state_dict())
    assert torch.equal(other.bank.vectors, pirl.bank.vectors)


def test_pictures_show_whose_patches_they_were_taken_for() -> None:
    pirl = built(PIRL, **SMALL)
    (figure,) = pirl.figures(images(), generator_for(0))
    picture, patches = figure.rows
    cut = pirl.views.picture(pirl.grid.cut(images(), generator_for(0)).flatten(0, 1)).unflatten(0, (4, 9))
    assert torch.equal(torch.from_numpy(picture.pictures), pirl.views.picture(images()))
    assert patches.pictures.shape == mosaic(cut).shape
    assert patches.texts is not None
    for own, words in enumerate(patches.texts):
        assert words.endswith("✓") == words.startswith(f"found picture {own + 1} ")


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match=r"batch_size must be below the 20 samples, for negatives, got 20"):
        built(PIRL, batch=20, **SMALL)
    with pytest.raises(UserError, match=r"balance must be from 0 to 1, got 1\.5"):
        built(PIRL, balance=1.5)
    with pytest.raises(UserError, match=r"temperature must be above 0, got 0\.0"):
        built(PIRL, temperature=0.0)
    with pytest.raises(UserError, match=r"negatives must be at least 1, got 0"):
        built(PIRL, negatives=0)
