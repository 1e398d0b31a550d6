from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_recordings import FRAMES, WAVES, N, ready
from torch import Tensor

from likewise.data.loader import Batch
from likewise.encoders.audio import audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.hubert import HuBERT
from likewise.seeding import generator_for
from likewise.views.mel import mfcc

OPTIONS = {"clusters": 7, "projection_dim": 8}


def built(**options: Any) -> HuBERT:
    method = ready("hubert", **{**OPTIONS, **options})
    assert isinstance(method, HuBERT)
    return method


def views_of(method: HuBERT, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(Batch(WAVES, torch.arange(N)), generator_for(seed))


def begin(method: HuBERT, epoch: int) -> None:
    with torch.no_grad():
        method.begin_epoch(epoch)


def moved(method: HuBERT) -> HuBERT:
    """After some training."""
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator_for(5), dtype=parameter.dtype)
    return method


def test_in_the_first_iteration_a_frames_cluster_is_that_of_its_mfcc() -> None:
    method = built()
    codes = method.codes(WAVES)
    assert codes.shape == (N, FRAMES)
    members: dict[int, list[Tensor]] = {}
    for i, wave in enumerate(WAVES):
        coefficients = mfcc(((wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt())[None], 1000)[0]
        for t in range(FRAMES):
            frame = coefficients[:, t * 41 // 39]
            distances = [(frame - centroid).square().sum().item() for centroid in method.sound_centroids]
            assert codes[i, t] == distances.index(min(distances))
            members.setdefault(int(codes[i, t]), []).append(frame)
    assert len(members) == 7
    for cluster, frames in members.items():  # k-means has converged: a centroid is about the mean of its frames
        mean = torch.stack(frames).mean(0)
        spread = torch.stack(frames).sub(mean).square().sum(1).mean()
        assert (mean - method.sound_centroids[cluster]).square().sum() < 0.3 * spread


def test_the_loss_is_the_papers_equation() -> None:
    method = built(temperature=0.3)
    view, masked, codes = views_of(method)
    assert torch.equal(view, method.views(WAVES, generator_for(0)))
    answer = method.objective(view, masked, codes)
    states, _ = method.encoder.forward_masked(method.mask_embedding, masked, view)
    losses = []
    for i, t in masked.nonzero().tolist():
        said = method.projector(states[i, t])
        row = [
            math.exp(torch.cosine_similarity(said, embedding, dim=0).item() / 0.3)
            for embedding in method.cluster_embeddings
        ]
        losses.append(-math.log(row[codes[i, t]] / sum(row)))
    assert 0 < len(losses) < N * FRAMES
    assert answer["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)


def test_later_iterations_cluster_the_middle_layer_as_it_was() -> None:
    method = built()
    frequencies = method.prediction.frequencies
    frequencies.counts += 5
    embeddings = method.cluster_embeddings.detach().clone()
    moved(method)
    captured: list[Tensor] = []
    hook = method.encoder.body.encoder.layers[0].register_forward_hook(lambda _, __, out: captured.append(out))
    with torch.no_grad():
        method.encoder.eval().features(WAVES)
    hook.remove()
    begin(method, 2)
    assert method.iteration == 1
    assert (frequencies.counts == 1).all()
    assert not torch.equal(method.cluster_embeddings, embeddings)
    (middle,) = captured  # of two layers the first
    codes = method.codes(WAVES)
    for i in range(N):
        for t in range(FRAMES):
            distances = [(middle[i, t] - centroid).square().sum().item() for centroid in method.feature_centroids]
            assert codes[i, t] == distances.index(min(distances))
    assert len(codes.unique()) == 7
    moved(method).train()
    assert torch.equal(method.codes(WAVES), codes)  # during an iteration they stay


@pytest.mark.parametrize(
    ("steps", "iterations", "expected"),
    [(12, 1, [0, 0, 0, 0]), (12, 2, [0, 0, 1, 1]), (9, 2, [0, 0, 1]), (12, 3, [0, 0, 1, 2]), (3, 2, [0])],
)
def test_iterations_have_equal_numbers_of_epochs(steps: int, iterations: int, expected: list[int]) -> None:
    method = built(steps=steps, iterations=iterations)
    found = []
    for epoch in range(steps // 3):
        begin(method, epoch)
        found.append(int(method.iteration))
    assert found == expected


def test_clusters_are_a_function_of_the_seed_and_kept_with_the_weights() -> None:
    one, again, other = built(), built(), built(seed=1)
    for method in (one, again, other):
        begin(moved(method), 2)
    assert torch.equal(one.codes(WAVES), again.codes(WAVES))
    assert torch.equal(one.sound_centroids, again.sound_centroids)
    assert not torch.equal(one.sound_centroids, other.sound_centroids)
    fresh = built(seed=2)
    fresh.load_state_dict(one.state_dict())
    assert torch.equal(fresh.codes(WAVES), one.codes(WAVES))


def test_only_what_the_loss_asks_is_trained() -> None:
    method = built()
    method.objective(*views_of(method))["loss"].backward()
    trained = {name for name, p in method.named_parameters() if p.requires_grad}
    assert {name for name, p in method.named_parameters() if p.grad is not None} == trained
    assert not any(name.startswith("teacher.") for name in trained)
    assert {"mask_embedding", "cluster_embeddings", "projector.weight"} < trained


def test_micro_batches_give_the_gradient_of_the_batch() -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built()
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        method.objective(*views_of(method))["loss"].backward()
        gradients.append({name: p.grad for name, p in method.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-8, atol=1e-12)


def test_bfloat16_has_about_the_loss_of_float32() -> None:
    losses = []
    for half in (False, True):
        method = built().float()
        view, masked, codes = views_of(method.double())
        method.float()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = method.objective(view.float(), masked, codes)
        answer["loss"].backward()
        assert answer["loss"].dtype == torch.float32
        losses.append(answer["loss"].item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_bad_options_are_named() -> None:
    mel = audio_encoder("mel-resnet8", sample_rate=4000, seconds=1)
    with pytest.raises(UserError, match="encoder must be a Wav2Vec2, got mel-resnet8: try --encoder wav2vec2-"):
        build_method("hubert", mel, {})
    with pytest.raises(UserError, match=f"clusters must be at most the {N * FRAMES} frames of the recordings, got 999"):
        built(clusters=999)
    with pytest.raises(UserError, match="clusters must be at least 2, got 1"):
        built(clusters=1)
    with pytest.raises(UserError, match="iterations must be at least 1, got 0"):
        built(iterations=0)
    with pytest.raises(UserError, match="temperature must be above 0, got 0"):
        built(temperature=0.0)
