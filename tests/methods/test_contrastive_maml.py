"""Contrastive MAML: SupCon that can be differentiated twice, tasks from views or from labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tiny import built, two_views
from torch import Tensor
from torch.nn import functional as F

from likewise.data.episode_sampling import EpisodeSampling, ViewEpisodeSampling
from likewise.data.open import open_source
from likewise.errors import UserError
from likewise.losses import sup_con
from likewise.methods.contrastive_maml import ContrastiveMAML, contrast_of_few
from likewise.methods.maml import MAML

SIZES: dict[str, Any] = {"way": 3, "shot": 1, "query": 2, "inner_steps": 2, "inner_lr": 0.5}


def rows() -> tuple[Tensor, Tensor]:
    z = torch.randn(8, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return z, torch.tensor([0, 1, 2, 2, 0, 1, 2, 2])


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_term_is_sup_con_with_its_gradient(temperature: float) -> None:
    gradients = []
    z, classes = rows()
    for loss in (contrast_of_few(z.requires_grad_(), classes, temperature=temperature), None):
        exact = sup_con(z, labels=classes, temperature=temperature) if loss is None else loss
        gradients.append((exact.item(), torch.autograd.grad(exact, z)[0]))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-12)
    assert torch.allclose(gradients[0][1], gradients[1][1], rtol=1e-9)


def test_its_gradient_can_be_differentiated() -> None:
    z, classes = rows()
    assert torch.autograd.gradgradcheck(
        lambda z: contrast_of_few(z, classes, temperature=0.5), z.requires_grad_(), atol=1e-6
    )


def test_both_losses_have_the_term() -> None:
    """One inner step by autograd, with the term in it, then the loss of the queries."""
    method = built(ContrastiveMAML, **SIZES | {"inner_steps": 1}, contrast=0.7, temperature=0.3)
    first, second = two_views(9)
    found = method.objective(first, second)

    def loss(weight: Tensor, bias: Tensor, head: Tensor, offset: Tensor, view: Tensor, classes: Tensor) -> Tensor:
        z = torch.tanh(F.linear(view.flatten(1), weight, bias))
        return F.cross_entropy(F.linear(z, head, offset), classes) + 0.7 * sup_con(z, labels=classes, temperature=0.3)

    layer = method.encoder.layer
    head, offset = (torch.zeros(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 6), (3,)))
    places = torch.arange(9).view(3, 3)
    support, query = places[:, 0], places[:, 1:].flatten()
    begun = (layer.weight, layer.bias, head, offset)
    slopes = torch.autograd.grad(
        loss(*begun, torch.cat([first[support], second[support]]), torch.arange(3).repeat(2)), begun
    )
    ended = [value - 0.5 * slope for value, slope in zip(begun, slopes, strict=True)]
    classes = torch.arange(3).repeat_interleave(2).repeat(2)
    exact = loss(*ended, torch.cat([first[query], second[query]]), classes)
    assert found["loss"].item() == pytest.approx(exact.item(), rel=1e-9)
    assert slopes[0].abs().max() > 0.01  # the encoder learns in the first step, behind a head of zeros
    assert method.tracked is not None
    assert torch.allclose(method.tracked[0], method.encoder(first))
    assert torch.allclose(method.tracked[1], method.encoder(second))


def test_without_the_term_it_is_maml_on_both_views() -> None:
    first, second = two_views(9)
    found = built(ContrastiveMAML, **SIZES, contrast=0.0).objective(first, second)
    assert found["loss"].item() == pytest.approx(
        built(MAML, **SIZES).objective(first, second)["loss"].item(), rel=1e-12
    )


def test_the_chance_level_is_that_of_equal_embeddings() -> None:
    method = built(ContrastiveMAML, **SIZES, contrast=2.0)
    torch.nn.init.zeros_(method.encoder.layer.weight)
    torch.nn.init.ones_(method.encoder.layer.bias)
    found = method.objective(*two_views(9))
    level = method.chance(64)
    assert found["loss"].item() == pytest.approx(level["loss"], rel=1e-9)
    assert level["loss"] == pytest.approx(math.log(3) + 2 * math.log(11))


def test_tasks_come_from_views_or_from_labels() -> None:
    plain = open_source(np.zeros((40, 8, 8), dtype=np.uint8))
    views = built(ContrastiveMAML, **SIZES)
    assert not views.supervised
    sampling = views.sampling(plain, batch_size=32, seed=0)
    assert isinstance(sampling, ViewEpisodeSampling)
    assert (sampling.indices(0).view(-1, 3) == sampling.indices(0).view(-1, 3)[:, :1]).all()
    labelled = built(ContrastiveMAML, **SIZES, tasks="labelled")
    assert labelled.supervised
    with pytest.raises(UserError, match="no labels"):
        labelled.sampling(plain, batch_size=32, seed=0)
    plain.labels = lambda: torch.arange(40) % 4  # type: ignore[method-assign]
    assert isinstance(labelled.sampling(plain, batch_size=32, seed=0), EpisodeSampling)


def test_tasks_come_from_clusters() -> None:
    """Four directions, ten samples of each: classes of an episode are such groups, and no labels are read."""
    plain = open_source(np.zeros((40, 8, 8), dtype=np.uint8))
    method = built(ContrastiveMAML, **SIZES, tasks="clusters", clusters_of="runs/other", clusters=4)
    assert not method.supervised
    group = torch.arange(40) % 4
    noise = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    method.use_embeddings(5 * torch.eye(4)[group] + noise)
    sampling = method.sampling(plain, batch_size=32, seed=0)
    assert isinstance(sampling, EpisodeSampling)
    assert method.notes == ["each step has 3 episodes: 3 of 4 classes, 1 + 2 samples of each"]
    for step in range(4):
        episodes = sampling.indices(step).view(-1, 3, 3)
        assert (group[episodes] == group[episodes][:, :, :1]).all()  # one group a class
        assert all(len(set(group[episode[:, 0]].tolist())) == 3 for episode in episodes)
        assert torch.equal(sampling.indices(step), method.sampling(plain, batch_size=32, seed=0).indices(step))
    few = built(ContrastiveMAML, **SIZES, tasks="clusters", clusters_of="runs/other", clusters=2)
    few.use_embeddings(torch.eye(4)[group] + noise)
    with pytest.raises(UserError, match=r"^way must be at most 2, the number of classes of the clusters of "):
        few.sampling(plain, batch_size=32, seed=0)
    many = built(ContrastiveMAML, **SIZES, tasks="clusters", clusters_of="runs/other")
    many.use_embeddings(noise)
    with pytest.raises(UserError, match=r"^clusters must be at most the 40 samples of .*, got 50"):
        many.sampling(plain, batch_size=32, seed=0)


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match=r"^tasks clusters need --clusters-of RUN"):
        built(ContrastiveMAML, **SIZES, tasks="clusters")
    with pytest.raises(UserError, match=r"^clusters_of applies to the tasks clusters, got runs/a and the tasks views"):
        built(ContrastiveMAML, **SIZES, clusters_of="runs/a")
    for option, value, rule in (
        ("tasks", "classes", "one of views, clusters, labelled"),
        ("clusters", 1, "at least 2"),
        ("contrast", -1.0, "0 or more"),
        ("temperature", 0.0, "above 0"),
    ):
        with pytest.raises(UserError, match=f"^{option} must be {rule}, got"):
            built(ContrastiveMAML, **SIZES | {option: value})
