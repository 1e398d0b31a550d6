from __future__ import annotations

import math

import pytest
import torch
from tiny import Tiny, built
from torch import Tensor
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.deepcluster import DeepCluster
from likewise.modules.kmeans import spherical_kmeans
from likewise.seeding import generator_for

SMALL = {"projection_dim": 4, "prototypes": 3, "heads": 2, "local_crops": 1}
SAMPLES, BATCH = 22, 5  # the batches do not divide the samples


def images() -> Tensor:
    return torch.randn(SAMPLES, 1, 4, 4, generator=generator_for(3), dtype=torch.float64)


class Views:
    """Every view is the sample and a little noise."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.3 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)

    local = __call__

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def deepcluster(**options: object) -> DeepCluster:
    method = built(DeepCluster, **SMALL | options)
    method.views = Views()
    read = images().__getitem__
    method.prepare(TrainingContext(SAMPLES, BATCH, steps=12, steps_per_epoch=4, seed=6, read=read))
    return method.double()


def begun(epoch: int = 0, **options: object) -> DeepCluster:
    method = deepcluster(**options)
    with torch.no_grad():
        method.begin_epoch(epoch)
    return method


def step(method: DeepCluster, number: int = 0) -> dict[str, Tensor]:
    indices = (torch.arange(BATCH) * 3 + number) % SAMPLES
    return method.objective(*method.make_views(Batch(images()[indices], indices), generator_for(number)))


def test_the_memory_begins_with_the_plain_views_of_all_samples() -> None:
    method = deepcluster()
    method.eval()
    with torch.no_grad():
        method.begin_epoch(0)
    expected = F.normalize(method.projector(method.encoder(images())), dim=1)
    torch.testing.assert_close(method.bank.vectors, expected.detach(), rtol=0, atol=1e-12)
    assert torch.equal(method.second_bank.vectors, method.bank.vectors)
    assert deepcluster(heads=1).second_bank is None


def test_prototypes_are_the_centroids_of_the_memories_another_clustering_for_each_head() -> None:
    method = begun(heads=3)
    step(method)
    method.begin_epoch(1)
    assert not torch.equal(method.bank.vectors, method.second_bank.vectors)
    for head in range(3):
        bank = method.second_bank if head == 1 else method.bank  # in turn
        centroids, assignments = spherical_kmeans(bank.vectors, 3, generator=generator_for(6, 1, head))
        assert torch.equal(method.centroids[head], centroids)
        assert torch.equal(method.assignments[head], assignments)
    assert not torch.equal(method.centroids[0], method.centroids[1])
    assert not torch.equal(method.centroids[0], method.centroids[2])


def test_the_loss_is_the_cross_entropy_of_all_crops_with_the_samples_clusters() -> None:
    method = begun(temperature=0.2)
    indices = torch.tensor([4, 9, 0, 21, 7])
    *crops, _ = method.make_views(Batch(images()[indices], indices), generator_for(0))
    z = F.normalize(method.projector(method.encoder(torch.cat(crops))), dim=1).view(3, BATCH, 4)
    losses = []
    for head in range(2):
        for crop in range(3):
            for row, sample in enumerate(indices.tolist()):
                scores = torch.stack([z[crop, row] @ c / 0.2 for c in method.centroids[head]])
                losses.append(scores.logsumexp(0) - scores[method.assignments[head, sample]])
    assert len(crops) == 3
    answer = method.objective(*crops, indices)
    assert answer["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-10)


def test_the_memory_keeps_the_first_views_and_is_clustered_anew_from_the_second_epoch_on() -> None:
    method = begun()
    was, centroids = method.bank.vectors.clone(), method.centroids.clone()
    answer = step(method)
    indices = torch.arange(BATCH) * 3
    assert method.tracked is not None
    first = F.normalize(method.tracked[0], dim=1)
    torch.testing.assert_close(method.bank.vectors[indices], first, rtol=0, atol=1e-12)
    second = F.normalize(method.tracked[1], dim=1)
    torch.testing.assert_close(method.second_bank.vectors[indices], second, rtol=0, atol=1e-12)
    assert answer["bank_freshness"].item() == pytest.approx((first * was[indices]).sum(1).mean().item())
    others = [i for i in range(SAMPLES) if i not in indices.tolist()]
    assert torch.equal(method.bank.vectors[others], was[others])
    assert torch.equal(method.centroids, centroids)
    memory, other = method.bank.vectors.clone(), method.second_bank.vectors.clone()
    method.begin_epoch(1)
    assert torch.equal(method.bank.vectors, memory)
    assert torch.equal(method.centroids[1], spherical_kmeans(other, 3, generator=generator_for(6, 1, 1))[0])


def test_a_training_resumed_in_the_middle_of_an_epoch_goes_on_with_the_same_bits() -> None:
    whole = begun()
    step(whole, 0)
    resumed = deepcluster()
    resumed.load_state_dict(whole.state_dict())
    for number in (1, 2):
        assert torch.equal(step(whole, number)["loss"], step(resumed, number)["loss"])
    whole.begin_epoch(1)
    resumed.begin_epoch(1)
    assert torch.equal(step(whole, 3)["loss"], step(resumed, 3)["loss"])
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_prototypes_are_not_learned() -> None:
    method = begun()
    step(method)["loss"].backward()
    assert "centroids" in dict(method.named_buffers())
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_code_entropy_is_that_of_the_cluster_sizes() -> None:
    method = begun(heads=1)
    method.assignments[0] = torch.tensor([0] * 11 + [1] * 11)
    assert step(method)["code_entropy"].item() == pytest.approx(math.log(2) / math.log(3))
    method.assignments.zero_()
    assert step(method)["code_entropy"].item() == 0


def test_chance_is_what_equal_scores_give() -> None:
    method = begun()
    assert method.chance(BATCH) == {"loss": math.log(3)}
    method.centroids[:] = method.centroids[0, 0]
    assert step(method)["loss"].item() == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prototypes": 1}, "prototypes must be at least 2, got 1"),
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"local_crops": -1}, "local_crops must be at least 0, got -1"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DeepCluster(Tiny(), **options)


def test_there_are_no_more_prototypes_than_samples() -> None:
    with pytest.raises(UserError, match="prototypes must be at most the 22 samples, got 23"):
        deepcluster(prototypes=23)
