from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_recordings import FRAMES, RATE, SAMPLES, WAVES, N, Views, ready
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.audio import AudioEncoder, audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.base import TrainingContext
from likewise.methods.best_rq import BestRQ
from likewise.seeding import generator_for
from likewise.views.mel import log_mel

OPTIONS = {"codes": 11, "code_dim": 4}


class Other(AudioEncoder):
    """An encoder without a Transformer: its masked frames are noise."""

    def __init__(self) -> None:
        super().__init__(16, {"name": "other", "sample_rate": RATE, "seconds": SAMPLES / RATE})
        self.layer = nn.Conv1d(1, 16, 20, stride=10)

    def features(self, view: Tensor) -> Tensor:
        return torch.tanh(self.layer(view[:, None])).transpose(1, 2)

    def count_frames(self, samples: int) -> int:
        return (samples - 20) // 10 + 1


def built(encoder: type[nn.Module] | None = None, **options: Any) -> BestRQ:
    method = ready("best-rq", encoder=encoder, **{**OPTIONS, **options})
    assert isinstance(method, BestRQ)
    return method


def views_of(method: BestRQ, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(Batch(WAVES, torch.arange(N)), generator_for(seed))


def standardized(wave: Tensor) -> Tensor:
    return (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt()


def spectra() -> list[Tensor]:
    return [log_mel(standardized(wave)[None], 1000, 80)[0] for wave in WAVES]


def test_the_bands_have_mean_0_and_deviation_1_over_the_samples() -> None:
    method = built()
    every = torch.cat(spectra(), dim=1)
    torch.testing.assert_close(method.band_mean[:, 0], every.mean(1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(method.band_deviation[:, 0], every.std(1, correction=0), rtol=1e-6, atol=1e-6)


def test_codes_are_those_of_the_paper_frame_by_frame() -> None:
    method = built()
    codes = method.codes(WAVES)
    assert codes.shape == (N, FRAMES)
    every = torch.cat(spectra(), dim=1)
    mean, deviation = every.mean(1), every.std(1, correction=0)
    assert method.stack == 1  # 41 frames of the spectrogram, 39 of the encoder
    for i, spectrum in enumerate(spectra()):
        for t in range(FRAMES):
            normalized = (spectrum[:, t * 41 // 39] - mean) / deviation
            projected = normalized @ method.quantizer.projection
            distances = [((projected / projected.norm()) - entry).norm().item() for entry in method.quantizer.codebook]
            assert codes[i, t] == distances.index(min(distances))
    assert len(codes.unique()) > 3


def test_masked_frames_are_noise_and_the_others_are_the_recording() -> None:
    method = built(Other)
    noisy, masked, codes = views_of(method)
    view = method.views(WAVES, generator_for(0))
    assert torch.equal(codes, method.codes(view))  # of what was there, not of the noise
    replaced = []
    for i in range(N):
        clean = standardized(view[i])
        for s in range(SAMPLES):
            if masked[i, s * FRAMES // SAMPLES]:
                replaced.append(noisy[i, s].item())
            else:
                assert noisy[i, s].item() == pytest.approx(clean[s].item(), abs=1e-9)
    noise = torch.tensor(replaced)
    assert len(noise) > 300
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(0.1, abs=0.01)  # the paper's deviation


def test_a_transformer_gets_an_embedding_in_place_of_the_masked_frames() -> None:
    method = built()
    view, masked, codes = views_of(method)
    assert torch.equal(view, method.views(WAVES, generator_for(0)))
    assert torch.equal(codes, method.codes(view))
    expected, _ = method.encoder.forward_masked(method.mask_embedding, masked, view)
    assert torch.equal(method.states(view, masked), expected)


@pytest.mark.parametrize("other", [False, True])
def test_the_loss_is_the_cross_entropy_of_the_masked_frames(other: bool) -> None:
    method = built(Other if other else None)
    view, masked, codes = views_of(method)
    answer = method.objective(view, masked, codes)
    if other:
        features = method.encoder.features(view)
    else:
        features, _ = method.encoder.forward_masked(method.mask_embedding, masked, view)
    losses = []
    for i, t in masked.nonzero().tolist():
        row = [(features[i, t] @ weight + bias).item() for weight, bias in zip(*method.head.parameters(), strict=True)]
        losses.append(math.log(sum(map(math.exp, row))) - row[codes[i, t]])
    assert 0 < len(losses) < N * FRAMES
    assert answer["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)


def test_codes_are_a_function_of_the_seed_and_kept_with_the_weights() -> None:
    one, again, other = built(), built(), built(seed=1)
    assert torch.equal(one.codes(WAVES), again.codes(WAVES))
    assert not torch.equal(one.codes(WAVES), other.codes(WAVES))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.codes(WAVES), other.codes(WAVES))
    assert not {name for name, _ in one.named_parameters()} & {"quantizer.projection", "quantizer.codebook"}


def test_views_are_a_function_of_the_generator() -> None:
    method = built()
    one, again, other = views_of(method, 1), views_of(method, 1), views_of(method, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("other", [False, True])
def test_micro_batches_give_the_gradient_of_the_batch(other: bool) -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built(Other if other else None)
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        method.objective(*views_of(method))["loss"].backward()
        gradients.append({name: p.grad for name, p in method.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["mel-resnet8", "conv-gru-tiny", "wav2vec2-tiny"])
def test_any_encoder_of_recordings_is_trained(name: str) -> None:
    torch.manual_seed(0)
    encoder = audio_encoder(name, sample_rate=4000, seconds=1)
    method = build_method("best-rq", encoder, {**OPTIONS, "mask_length": 2, "mask_prob": 0.2})
    method.views = Views()
    waves = torch.randn(4, 4000, generator=generator_for(0))
    method.prepare(TrainingContext(4, 4, steps=2, steps_per_epoch=1, read=waves.__getitem__))
    with torch.no_grad():
        method.begin_epoch(0)
        views = method.make_views(Batch(waves, torch.arange(4)), generator_for(0))
    assert views[1].shape == views[2].shape == (4, *encoder.grid())
    answer = method.objective(*views)
    answer["loss"].backward()
    assert all(p.grad is not None for p in method.parameters())
    assert answer["code_perplexity"] > 2


def test_predicting_by_frequency_alone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built()
    assert method.chance(4) == {"loss": math.log(11), "accuracy": 1 / 11}
    stuck = {"loss": 2.0, "by_frequency": 2.01}
    assert method.degenerate_solution(stuck) is None  # at the beginning it may
    monkeypatch.setattr(BestRQ, "progress", 0.5)
    assert "codes are predicted by their frequency alone, whatever the recording" in method.degenerate_solution(stuck)
    assert method.degenerate_solution({"loss": 1.0, "by_frequency": 2.0}) is None


def test_pictures_show_what_is_masked() -> None:
    method = built(Other)
    assert method.figures(WAVES, generator_for(0)) == []

    class Seen(Views):
        def picture(self, view: Tensor) -> Tensor:
            return view.mul(40).add(100).clamp(0, 200).to(torch.uint8)[:, None, None]

    method.views = Seen()
    (figure,) = method.figures(WAVES, generator_for(0))
    heard, masked = (torch.from_numpy(row.pictures) for row in figure.rows)
    assert [row.name for row in figure.rows] == ["recording", "masked"]
    assert torch.equal(heard, method.views.picture(method.views(WAVES, generator_for(0))))  # without noise
    assert 0.05 < (heard != masked).float().mean().item() < 0.95


def test_bad_options_are_named() -> None:
    with pytest.raises(UserError, match=f"mask_length must be from 2 to {FRAMES - 1}, below the {FRAMES} frames"):
        built(mask_length=1)
    with pytest.raises(UserError, match="codes must be at least 2, got 1"):
        built(codes=1)
    with pytest.raises(UserError, match="code_dim must be at least 1, got 0"):
        built(code_dim=0)
    with pytest.raises(UserError, match="encoder must be a AudioEncoder, got Linear"):
        build_method("best-rq", torch.nn.Linear(2, 2), {})
