from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.base import Method, TrainingContext
from likewise.methods.moco import MoCoV1, MoCoV2
from likewise.methods.moco_v3 import MoCoV3

SAMPLES, BATCH, QUEUE = 40, 5, 10


def ready(cls: type[Method], **options: Any) -> Any:
    """A MoCo whose keys come from other weights than its queries, as after some steps."""
    moco = built(cls, projection_dim=3, **options)
    moco.prepare(TrainingContext(SAMPLES, BATCH, steps=16, steps_per_epoch=8, seed=4))
    with torch.no_grad():
        for weight in moco.keys.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    return moco.double()


def cross_entropy_of_first(query: Tensor, candidates: list[Tensor], temperature: float) -> Tensor:
    """`-log` of the softmax of cosines over temperature, at the first candidate."""
    cosines = [(query @ c) / ((query @ query) * (c @ c)).sqrt() for c in candidates]
    exponentials = [torch.exp(cosine / temperature) for cosine in cosines]
    return -torch.log(exponentials[0] / sum(exponentials))


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize(("cls", "temperature"), [(MoCoV1, 0.07), (MoCoV2, 0.2)])
def test_the_objective_tells_the_key_from_the_queue(cls: type[Method], temperature: float, in_batch: bool) -> None:
    moco = ready(cls, queue=QUEUE, key_momentum=1.0, in_batch=in_batch)
    first, second = two_views(BATCH)
    q = moco.projector(moco.encoder(first))
    k = moco.keys(second)
    queue = list(moco.queue.keys.clone())
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(BATCH):
        others = [k[j] for j in range(BATCH) if in_batch and j != i]
        expected += cross_entropy_of_first(q[i], [k[i], *others, *queue], temperature) / BATCH
    scalars = moco.objective(first, second)
    assert scalars["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    torch.testing.assert_close(moco.queue.keys[:BATCH], F.normalize(k, dim=1))
    assert torch.equal(moco.queue.keys[BATCH:], torch.stack(queue[BATCH:]))


def test_the_gradient_reaches_the_queries_network_only() -> None:
    moco = ready(MoCoV2, queue=QUEUE)
    moco.objective(*two_views(BATCH))["loss"].backward()
    graded = {name for name, weight in moco.named_parameters() if weight.grad is not None}
    assert graded == {name for name, _ in moco.named_parameters() if not name.startswith("keys.")}
    assert graded


@pytest.mark.parametrize("cls", [MoCoV1, MoCoV2, MoCoV3])
def test_keys_follow_at_the_beginning_of_a_step(cls: type[Method], monkeypatch: pytest.MonkeyPatch) -> None:
    moco = ready(cls, key_momentum=0.9)
    monkeypatch.setattr(cls, "progress", 0.5)
    momentum = 0.95 if cls is MoCoV3 else 0.9
    was = copy.deepcopy(list(moco.keys.parameters()))
    moco.objective(*two_views(BATCH))
    theirs = [*moco.encoder.parameters(), *moco.projector.parameters()]
    for old, new, followed in zip(was, moco.keys.parameters(), theirs, strict=True):
        torch.testing.assert_close(new, momentum * old + (1 - momentum) * followed, rtol=0, atol=1e-12)


def test_a_queue_fills_and_ages() -> None:
    moco = ready(MoCoV1, queue=QUEUE)
    logged = [moco.objective(*two_views(BATCH)) for _ in range(4)]
    assert [float(scalars["queue_filled"]) for scalars in logged] == [0, 0.5, 1, 1]
    assert [float(scalars["queue_age"]) for scalars in logged] == [0, 1, 1.5, 1.5]


def test_a_resumed_moco_goes_on_with_the_same_queue() -> None:
    moco = ready(MoCoV2, queue=QUEUE)
    moco.objective(*two_views(BATCH))
    resumed = built(MoCoV2, projection_dim=3, queue=QUEUE)
    resumed.prepare(TrainingContext(SAMPLES, BATCH, steps=16, steps_per_epoch=8))
    resumed.double().load_state_dict(moco.state_dict())
    again = [method.objective(*two_views(BATCH))["loss"] for method in (moco, resumed)]
    assert torch.equal(again[0], again[1])
    assert moco.state_dict().keys() == resumed.state_dict().keys()
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in moco.state_dict().items())


def test_heads_are_the_papers() -> None:
    assert [type(layer) for layer in [MoCoV1(Tiny()).projector]] == [nn.Linear]
    assert [type(layer) for layer in MoCoV2(Tiny()).projector] == [nn.Linear, nn.ReLU, nn.Linear]


def test_the_queue_is_whole_batches_of_a_twentieth_of_the_samples() -> None:
    assert len(ready(MoCoV1).queue.keys) == BATCH
    with pytest.raises(UserError, match="queue must be a multiple of the batch, 5, got 12"):
        ready(MoCoV2, queue=12)


@pytest.mark.parametrize("cls", [MoCoV1, MoCoV2, MoCoV3])
def test_impossible_values_are_refused(cls: type[Method]) -> None:
    with pytest.raises(UserError, match=r"key_momentum must be from 0 to 1, got 1\.5"):
        cls(Tiny(), key_momentum=1.5)
    with pytest.raises(UserError, match="projection_dim must be at least 1, got 0"):
        cls(Tiny(), projection_dim=0)
    with pytest.raises(UserError, match=r"temperature must be a number above 0, .*, got 'cold'"):
        cls(Tiny(), temperature="cold")


@pytest.mark.parametrize(
    ("cls", "options"),
    [(MoCoV1, {"queue": QUEUE}), (MoCoV1, {"queue": QUEUE, "in_batch": True}), (MoCoV3, {"temperature": 0.3})],
)
def test_chance_is_what_equal_embeddings_give(cls: type[Method], options: dict[str, Any]) -> None:
    moco = ready(cls, **options)
    if cls is MoCoV3:
        moco.predictor = Same()
        moco.keys.copies[1] = Same()
    else:
        moco.projector = Same()
        moco.queue.keys[:] = torch.tensor([1.0, 0, 0])
        moco.keys.copies[1] = Same()
    moco.keys.update = lambda *modules, momentum: None
    answer = moco.objective(*two_views(BATCH))
    loss = answer["loss"] if isinstance(answer, dict) else answer
    assert loss.item() == pytest.approx(moco.chance(BATCH)["loss"], rel=1e-6)


class Same(nn.Module):
    """One embedding for all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([1.0, 0, 0], dtype=x.dtype).expand(len(x), 3) + 0 * x[:, :1]


def test_v3_tells_the_other_views_key_from_those_of_the_batch_both_ways() -> None:
    moco = ready(MoCoV3, hidden_dim=8, temperature=0.3, key_momentum=1.0)
    views = two_views(BATCH)
    q = [moco.predictor(moco.projector(moco.encoder(view))) for view in views]
    k = [moco.keys(view) for view in views]
    expected = torch.zeros((), dtype=torch.float64)
    for a, b in ((0, 1), (1, 0)):
        for i in range(BATCH):
            candidates = [k[b][i], *(k[b][j] for j in range(BATCH) if j != i)]
            expected += 2 * 0.3 * cross_entropy_of_first(q[a][i], candidates, 0.3) / BATCH
    assert moco.objective(*views).item() == pytest.approx(expected.item(), rel=1e-10)
    assert moco.tracked is not None
    assert not any(z.requires_grad for z in moco.tracked)


def test_v3_leaves_the_patch_projection_of_a_transformer_as_it_is() -> None:
    from likewise.encoders import image_encoder

    moco = MoCoV3(image_encoder("vit_tiny", channels=1, size=28), projection_dim=4, hidden_dim=4)
    held = {id(weight) for weight in moco.frozen_parameters(0)}
    assert held == {id(weight) for weight in moco.encoder.body.patch_embed.parameters()}
    assert held
    assert not list(ready(MoCoV3).frozen_parameters(0))
    assert moco.chance(8) == {"loss": pytest.approx(4 * 0.2 * math.log(8))}


class Normed(nn.Module):
    """An encoder whose embeddings are the view, normalized by its batch."""

    dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, affine=False)
        self.scale = nn.Parameter(torch.ones(3))
        self.met: list[Tensor] = []

    def forward(self, view: Tensor) -> Tensor:
        self.met.append(view.detach())
        return self.scale * self.norm(view)


def normed(batch: int, *, in_batch: bool) -> MoCoV1:
    torch.manual_seed(0)
    moco = MoCoV1(Normed(), projection_dim=3, in_batch=in_batch, queue=batch)
    moco.prepare(TrainingContext(4 * batch, batch, steps=16, steps_per_epoch=4, seed=4))
    moco.train()
    return moco


def rows_of(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, generator=generator), torch.randn(batch, 3, generator=generator)


def test_one_process_normalizes_shuffled_shards_where_the_batch_would_tell_the_key() -> None:
    moco = normed(96, in_batch=False)
    first, second = rows_of(96)
    moco.objective(first, second)
    queries, keys = moco.encoder.met, moco.keys.copies[0].met
    assert [len(part) for part in queries] == [len(part) for part in keys] == [32, 32, 32]
    assert torch.equal(torch.cat(queries), first)
    assert sorted(map(tuple, torch.cat(keys).tolist())) == sorted(map(tuple, second.tolist()))
    # A shard of keys belongs to queries of all shards.
    places = {tuple(row): place // 32 for place, row in enumerate(second.tolist())}
    assert all({places[tuple(row)] for row in part.tolist()} == {0, 1, 2} for part in keys)
    # Each is normalized apart, and back in its place.
    apart = torch.cat([nn.BatchNorm1d(3, affine=False)(part) for part in keys])
    expected = {tuple(row): out for row, out in zip(torch.cat(keys).tolist(), apart, strict=True)}
    k = moco.keys.copies[1](torch.stack([expected[tuple(row)] for row in second.tolist()]))
    torch.testing.assert_close(moco.queue.keys, F.normalize(k, dim=1))


def test_a_small_batch_has_two_shards_and_a_smaller_one_is_refused() -> None:
    moco = normed(4, in_batch=False)
    moco.objective(*rows_of(4))
    assert [len(part) for part in moco.encoder.met] == [2, 2]
    with pytest.raises(UserError, match="batch_size must be at least 4, got 3"):
        normed(3, in_batch=False)


@pytest.mark.parametrize(("micro", "parts"), [(24, [24] * 4), (96, [48, 48])])
def test_micro_batches_are_the_shards(micro: int, parts: list[int]) -> None:
    moco = normed(96, in_batch=False)
    moco.training_context = moco.training_context._replace(micro_batch_size=micro)
    moco.objective(*rows_of(96))
    assert [len(part) for part in moco.encoder.met] == parts
    assert [len(part) for part in moco.keys.copies[0].met] == parts


def test_with_the_keys_of_the_batch_it_is_normalized_whole() -> None:
    moco = normed(96, in_batch=True)
    moco.objective(*rows_of(96))
    assert [len(part) for part in (*moco.encoder.met, *moco.keys.copies[0].met)] == [96, 96]


def test_v3_has_other_heads_for_resnets() -> None:
    def layers(head: nn.Module) -> list[str]:
        return [type(layer).__name__ for layer in head.modules() if not isinstance(layer, nn.Sequential)]

    hidden = ["Linear", "BatchNorm1d", "ReLU"]
    vit = built(MoCoV3, hidden_dim=7, projection_dim=3)
    assert layers(vit.projector) == [*hidden, *hidden, "Linear", "BatchNorm1d"]
    assert layers(vit.predictor) == [*hidden, "Linear", "BatchNorm1d"]
    resnet = built(MoCoV3, hidden_dim=7, projection_dim=3, projector_layers=2, predictor_norm=False)
    assert layers(resnet.projector) == [*hidden, "Linear", "BatchNorm1d"]
    assert layers(resnet.predictor) == [*hidden, "Linear"]
    assert resnet.objective(*two_views()).isfinite()
    with pytest.raises(UserError, match="projector_layers must be from 2 to 8, got 1"):
        built(MoCoV3, hidden_dim=7, projection_dim=3, projector_layers=1)
