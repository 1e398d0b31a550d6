from __future__ import annotations

from typing import Any

import pytest
import torch
from patched import around_patched
from tiny import Tiny, two_views
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.densecl import DenseCL
from likewise.methods.moco import MoCoV2

SAMPLES, BATCH, QUEUE, PLACES = 40, 5, 10, 4


def ready(**options: Any) -> Any:
    """A DenseCL whose keys come from other weights than its queries, as after some steps."""
    method = around_patched(DenseCL, **{"projection_dim": 3, "queue": QUEUE, "key_momentum": 1.0} | options)
    method.prepare(TrainingContext(SAMPLES, BATCH, steps=16, steps_per_epoch=8, seed=4))
    with torch.no_grad():
        for weight in method.keys.parameters():  # type: ignore[union-attr,operator]
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    return method.double()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / ((a @ a) * (b @ b)).sqrt()


def cross_entropy_of_first(query: Tensor, candidates: list[Tensor], temperature: float) -> Tensor:
    exponentials = [torch.exp(cosine(query, c) / temperature) for c in candidates]
    return -torch.log(exponentials[0] / sum(exponentials))


def of_places(method: Any, first: Tensor, second: Tensor, in_batch: bool, temperature: float) -> Tensor:
    """Equation 2 with the correspondence of section 3.4, place by place."""
    key_encoder, _, key_projector = method.keys.copies
    features, key_features = method.encoder.with_features(first)[1], key_encoder.with_features(second)[1]
    queries, keys = method.place_projector(features), key_projector(key_features)
    queue, terms = list(method.place_queue.keys.clone()), []
    for i in range(BATCH):
        others = [keys[j].mean(0) for j in range(BATCH) if in_batch and j != i]
        for p in range(PLACES):
            likeness = [float(cosine(features[i, p], other).detach()) for other in key_features[i]]
            match = keys[i, likeness.index(max(likeness))]
            terms.append(cross_entropy_of_first(queries[i, p], [match, *others, *queue], temperature))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_objective_is_the_papers(weight: float, in_batch: bool) -> None:
    method = ready(dense_weight=weight, dense_from=0.0, in_batch=in_batch)
    moco = ready(in_batch=in_batch)
    first, second = two_views(BATCH)
    dense = of_places(method, first, second, in_batch, 0.2)
    views = MoCoV2.objective(around(moco), first, second)["loss"]
    scalars = method.objective(first, second)
    assert scalars["of_places"].item() == pytest.approx(dense.item(), rel=1e-10)
    assert scalars["of_views"].item() == pytest.approx(views.item(), rel=1e-10)
    expected = (1 - weight) * views + weight * dense
    assert scalars["loss"].item() == pytest.approx(expected.item(), rel=1e-10)


def around(method: Any) -> Any:
    """The MoCo v2 that is in it."""

    class Keys(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.projector, _ = method.keys.copies

        def update(self, *modules: nn.Module, momentum: float) -> None:
            assert momentum == 1.0

        @torch.no_grad()
        def forward(self, view: Tensor) -> Tensor:
            return self.projector(self.encoder(view))

    method.keys = Keys()
    return method


def test_places_count_when_their_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    method = ready(dense_from=0.5)
    for step, begun in ((0, False), (3, False), (4, True)):
        monkeypatch.setattr(DenseCL, "global_step", step)
        scalars = method.objective(*two_views(BATCH))
        weight = 0.5 if begun else 0.0
        expected = (1 - weight) * scalars["of_views"] + weight * scalars["of_places"]
        assert scalars["loss"].item() == pytest.approx(expected.item(), rel=1e-12)
        assert scalars["of_views"].item() != pytest.approx(scalars["of_places"].item(), rel=1e-3)


def test_the_queue_of_places_has_the_means_of_images() -> None:
    method = ready()
    first, second = two_views(BATCH)
    encoder, _, projector = method.keys.copies
    means = projector(encoder.with_features(second)[1]).mean(1)
    method.objective(first, second)
    torch.testing.assert_close(method.place_queue.keys[:BATCH], F.normalize(means, dim=1))


def test_the_gradient_reaches_the_queries_network_only_and_keys_follow() -> None:
    method = ready(key_momentum=0.9, dense_from=0.0)
    was = [weight.clone() for weight in method.keys.parameters()]
    method.objective(*two_views(BATCH))["loss"].backward()
    graded = {name for name, weight in method.named_parameters() if weight.grad is not None}
    assert graded == {name for name, _ in method.named_parameters() if not name.startswith("keys.")}
    theirs = [
        *method.encoder.parameters(), *method.projector.parameters(), *method.place_projector.parameters()
    ]  # fmt: skip
    for old, new, followed in zip(was, method.keys.parameters(), theirs, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * followed, rtol=0, atol=1e-12)


@pytest.mark.parametrize("in_batch", [False, True])
def test_chance_is_what_equal_embeddings_give(in_batch: bool) -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([1.0, 0, 0], dtype=x.dtype).expand(*x.shape[:-1], 3) + 0 * x[..., :1]

    method = ready(in_batch=in_batch, dense_from=0.0)
    method.keys.update = lambda *modules, momentum: None
    method.projector = method.place_projector = Same()
    method.keys.copies[1] = method.keys.copies[2] = Same()
    for queue in (method.queue, method.place_queue):
        queue.keys[:] = torch.tensor([1.0, 0, 0])
    scalars = method.objective(*two_views(BATCH))
    chance = method.chance(BATCH)
    assert chance.keys() == {"loss", "of_views", "of_places"}
    for name, value in chance.items():
        assert scalars[name].item() == pytest.approx(value, rel=1e-6)


def test_heads_are_the_papers() -> None:
    method = ready()
    for head in (method.projector, method.place_projector):
        assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear]


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"dense_weight must be from 0 to 1, got 1\.5"):
        around_patched(DenseCL, dense_weight=1.5)
    with pytest.raises(UserError, match=r"dense_from must be 0 or more, got -1\.0"):
        around_patched(DenseCL, dense_from=-1.0)
    with pytest.raises(UserError, match="encoder must be one with features of places, got Tiny"):
        DenseCL(Tiny())
