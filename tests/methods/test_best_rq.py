from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_recordings import FRAMES, SAMPLES, WAVES, N, Views, ready
from torch import Tensor

from likewise.data.loader import Batch
from likewise.encoders.audio import audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.base import TrainingContext
from likewise.methods.best_rq import BestRQ
from likewise.seeding import generator_for
from likewise.views.mel import log_mel

OPTIONS = {"codes": 11, "code_dim": 4}


def built(**options: Any) -> BestRQ:
    method = ready("best-rq", **{**OPTIONS, **options})
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
    method = built(mask_noise=0.3)
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
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx(0.3, abs=0.03)


def test_the_loss_is_the_cross_entropy_of_the_masked_frames() -> None:
    method = built()
    noisy, masked, codes = views_of(method)
    answer = method.objective(noisy, masked, codes)
    features = method.encoder.features(noisy).detach()
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


def test_micro_batches_give_the_gradient_of_the_batch() -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built()
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


def test_pictures_show_the_noise() -> None:
    method = built()
    assert method.figures(WAVES, generator_for(0)) == []

    class Seen(Views):
        def picture(self, view: Tensor) -> Tensor:
            return view.mul(40).add(128).clamp(0, 255).to(torch.uint8)[:, None, None]

    method.views = Seen()
    (figure,) = method.figures(WAVES, generator_for(0))
    heard, masked = (torch.from_numpy(row.pictures) for row in figure.rows)
    assert [row.name for row in figure.rows] == ["recording", "masked"]
    differs = (heard != masked).float().mean().item()
    assert 0.05 < differs < 0.95
    assert "there the encoder hears noise" in figure.caption


def test_bad_options_are_named() -> None:
    with pytest.raises(UserError, match=f"mask_length must be from 2 to {FRAMES - 1}, below the {FRAMES} frames"):
        built(mask_length=1)
    with pytest.raises(UserError, match="mask_noise must be above 0, got 0"):
        built(mask_noise=0.0)
    with pytest.raises(UserError, match="codes must be at least 2, got 1"):
        built(codes=1)
    with pytest.raises(UserError, match="code_dim must be at least 1, got 0"):
        built(code_dim=0)
    with pytest.raises(UserError, match="encoder must be a AudioEncoder, got Linear"):
        build_method("best-rq", torch.nn.Linear(2, 2), {})
