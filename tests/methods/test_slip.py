from __future__ import annotations

from typing import Any

import pytest
import torch
from pairs import WORDS, Flat, Shifted, built, clip_formula, pair_encoder, samples
from torch import Tensor, nn

from likewise.data.batches import Parts
from likewise.data.loader import Batch
from likewise.encoders.pair import PairEncoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.slip import SLIP
from likewise.seeding import generator_for
from likewise.views.pair import PairViews

SMALL = {"hidden_dim": 7, "projection_dim": 3}


def simclr_formula(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    z = nn.functional.normalize(torch.cat([first, second]), dim=1)
    terms = []
    for i in range(len(z)):
        j = (i + len(first)) % len(z)
        others = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(len(z)) if k != i)
        terms.append(-torch.log(torch.exp(z[i] @ z[j] / temperature) / others))
    return torch.stack(terms).mean()


def views_of(method: Any, given: Parts, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(Batch(given, torch.arange(len(given))), generator_for(seed))


@pytest.mark.parametrize("modalities", [("image", "text"), ("text", "image")])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_objective_is_clip_and_simclr_of_the_pictures(modalities: tuple[str, str], weight: float) -> None:
    slip = built(SLIP, modalities, weight=weight, **SMALL)
    given = samples(modalities=modalities)
    one, other, first, second = views_of(slip, given)
    seen = modalities.index("image")
    assert first.shape == second.shape == given.parts[seen].shape
    assert not torch.equal(first, second)
    tower = slip.encoder.towers[seen].encoder
    across = clip_formula(slip.encoder.towers[0](one), slip.encoder.towers[1](other), 0.07)
    projected = slip.projector(torch.cat([tower(first), tower(second)]))
    within = simclr_formula(*projected.chunk(2), 0.1)
    answer = slip.objective(one, other, first, second)
    assert answer["clip_loss"].item() == pytest.approx(across.item(), rel=1e-6)
    assert answer["view_loss"].item() == pytest.approx(within.item(), rel=1e-9)
    assert answer["loss"].item() == pytest.approx((across + weight * within).item(), rel=1e-6)


def test_without_weight_it_is_clip() -> None:
    slip = built(SLIP, weight=0.0, **SMALL)
    answer = slip.objective(*views_of(slip, samples()))
    answer["loss"].backward()
    assert answer["loss"].item() == answer["clip_loss"].item()
    assert not any(p.grad.any() for p in slip.projector.parameters())
    assert all(p.grad.any() for p in slip.encoder.parameters())


def test_where_nothing_is_an_image_the_first_half_is_viewed() -> None:
    slip = built(SLIP, ("text", "text"), **SMALL)
    views = views_of(slip, samples(modalities=("text", "text")))
    assert [view.shape for view in views] == [(6, WORDS)] * 4
    assert (views[2] - samples(modalities=("text", "text")).parts[0]).abs().mean() < 0.2
    assert slip.objective(*views)["loss"].isfinite()


def test_views_of_other_lengths_are_encoded_apart() -> None:
    """Texts are as long as the longest of their batch, after some of their tokens were deleted."""

    class Cut(Shifted):
        def __init__(self) -> None:
            super().__init__()
            self.made = 0

        def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            self.made += 1
            return super().__call__(batch, generator)[:, : WORDS - self.made % 2]

    class Mean(Flat):
        def forward(self, view: Tensor) -> Tensor:
            return super().forward(view.mean(1, keepdim=True))

    torch.manual_seed(0)
    slip: Any = SLIP(PairEncoder([Mean(1, 4), Flat(WORDS, 6)], 4, ("text", "text")), **SMALL).double()
    slip.views = PairViews((Cut(), Shifted()))
    views = views_of(slip, samples(modalities=("text", "text")))
    assert len({view.shape[1] for view in (views[0], *views[2:])}) == 2
    tower = slip.encoder.towers[0].encoder
    projected = slip.projector(torch.cat([tower(views[2]), tower(views[3])]))
    expected = simclr_formula(*projected.chunk(2), 0.1)
    assert slip.objective(*views)["view_loss"].item() == pytest.approx(expected.item(), rel=1e-9)


def test_halves_that_share_a_tower() -> None:
    torch.manual_seed(0)
    slip: Any = SLIP(PairEncoder([Flat(16, 6)], 4, ("image", "image")), **SMALL).double()
    slip.views = PairViews((Shifted(), Shifted()))
    views = views_of(slip, samples(modalities=("image", "image")))
    tower = slip.encoder.towers[0]
    answer = slip.objective(*views)
    assert answer["clip_loss"].item() == pytest.approx(clip_formula(tower(views[0]), tower(views[1]), 0.07).item())
    answer["loss"].backward()
    assert all(p.grad is not None for p in slip.parameters())


def test_the_head_is_the_papers() -> None:
    linear = [layer for layer in SLIP(pair_encoder()).projector if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(6, 4096), (4096, 4096), (4096, 256)]


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"weight must be 0 or more, got -1\.0"):
        build_method("slip", pair_encoder(), {"weight": -1.0})
    with pytest.raises(UserError, match="hidden_dim must be at least 1, got 0"):
        build_method("slip", pair_encoder(), {"hidden_dim": 0})
    with pytest.raises(UserError, match=r"view_temperature must be above 0, got 0\.0"):
        build_method("slip", pair_encoder(), {"view_temperature": 0.0})


def test_clip_sees_what_captions_fit_and_simclr_both_of_its_augmentations() -> None:
    class Named(Shifted):
        def __init__(self) -> None:
            super().__init__()
            self.made: list[str] = []

        def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            self.made.append("first")
            return super().__call__(batch, generator)

        def second(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            self.made.append("second")
            return super().__call__(batch, generator)

        def captioned(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            self.made.append("captioned")
            return batch

    slip = built(SLIP, **SMALL)
    images, texts = Named(), Shifted()
    slip.views = PairViews((images, texts))
    given = samples()
    picture, words, first, second = views_of(slip, given)
    assert images.made == ["captioned", "first", "second"]
    assert torch.equal(picture, given.parts[0])
    assert not torch.equal(words, given.parts[1])  # texts have their usual views
    assert not torch.equal(first, second)
