from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

from likewise.encoders.audio import (
    AUDIO_ENCODERS,
    ConvGRU,
    ConvolutionalEncoder,
    Wav2Vec2,
    audio_encoder,
    cpc_convolutions,
    standardize,
    wav2vec2_convolutions,
)
from likewise.errors import UserError
from likewise.views.mel import log_mel

RATE, SECONDS = 4000, 0.6
SMALL = [name for name in AUDIO_ENCODERS if not name.endswith(("base", "mini", "18"))]
CONVOLUTIONAL = [name for name in SMALL if not name.startswith("mel")]


def built(name: str, *, rate: int = RATE, seconds: float = SECONDS) -> nn.Module:
    torch.manual_seed(0)
    return audio_encoder(name, sample_rate=rate, seconds=seconds).eval()


def waves(n: int = 3, samples: int = round(RATE * SECONDS), seed: int = 1) -> Tensor:
    return 0.1 * torch.randn(n, samples, generator=torch.Generator().manual_seed(seed))


def hertz(layers: list[tuple[int, int]], rate: int) -> float:
    return rate / math.prod(stride for _, stride in layers)


@pytest.mark.parametrize(("name", "dim"), [("mel-resnet8", 256), ("conv-gru-tiny", 128), ("wav2vec2-tiny", 128)])
def test_states_in_time_and_their_mean(name: str, dim: int) -> None:
    encoder = built(name)
    with torch.no_grad():
        features, embeddings = encoder.features(waves()), encoder(waves())
    assert encoder.dim == dim
    assert embeddings.shape == (3, dim)
    assert features.shape[::2] == (3, dim)
    torch.testing.assert_close(embeddings, features.mean(1))
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_it_is_built_again_from_its_config(name: str) -> None:
    encoder = built(name)
    torch.manual_seed(0)
    again = audio_encoder(**json.loads(json.dumps(encoder.config))).eval()
    torch.manual_seed(1)
    other = audio_encoder(**encoder.config).eval()
    with torch.no_grad():
        assert torch.equal(again(waves()), encoder(waves()))
        assert not torch.equal(other(waves()), encoder(waves()))


@pytest.mark.parametrize("name", SMALL)
def test_loudness_and_offset_say_nothing(name: str) -> None:
    encoder = built(name)
    with torch.no_grad():
        exact = encoder(waves())
        other = encoder(waves() * torch.tensor([[0.3], [2.0], [5.0]]) + torch.tensor([[0.1], [-0.2], [0.0]]))
    torch.testing.assert_close(other, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_silence_has_a_finite_embedding(name: str) -> None:
    encoder = built(name).train()
    samples = torch.cat([torch.zeros(1, round(RATE * SECONDS)), waves(1)])
    encoder(samples).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_recordings_do_not_meet_and_any_length_can_be_encoded(name: str) -> None:
    encoder = built(name)
    with torch.no_grad():
        alone = torch.cat([encoder(wave[None]) for wave in waves()])
        torch.testing.assert_close(encoder(waves()), alone, rtol=1e-4, atol=1e-5)
        assert encoder(waves(2, 2 * RATE)).shape == (2, encoder.dim)


def test_standardised_rows_have_mean_0_and_variance_1() -> None:
    x = standardize(waves(4).double().view(4, 2, -1) * 7 + 3)
    assert x.shape == (4, 2, round(RATE * SECONDS) // 2)
    torch.testing.assert_close(x.flatten(1).mean(1), torch.zeros(4).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(x.flatten(1).var(1, correction=0), torch.ones(4).double(), rtol=1e-5, atol=0)
    assert torch.equal(standardize(torch.full((2, 9), 0.25)), torch.zeros(2, 9))


def test_the_image_network_sees_the_standardised_spectrogram() -> None:
    encoder, seen = built("mel-resnet8"), []
    encoder.image.body[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        frames = encoder.features(waves())
    (pictures,) = seen
    loud = (waves() - waves().mean(1, keepdim=True)) / waves().std(1, keepdim=True)
    spectrogram = log_mel(loud, RATE)
    expected = spectrogram - spectrogram.mean((1, 2), keepdim=True)
    expected /= expected.square().mean((1, 2), keepdim=True).sqrt()
    assert pictures.shape == (3, 1, 64, 1 + round(SECONDS * 100))
    torch.testing.assert_close(pictures[:, 0], expected, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(frames.mean(1), encoder.image(pictures))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("samples", [1203, 2400, 4001])
def test_it_knows_how_many_frames_there_will_be(name: str, samples: int) -> None:
    encoder = built(name)
    assert isinstance(encoder, ConvolutionalEncoder)
    with torch.no_grad():
        assert encoder.features(waves(1, samples)).shape[1] == encoder.count_frames(samples)
        assert encoder.grid()[0] == encoder.count_frames(2400)


def test_the_papers_convolutions_at_16_khz() -> None:
    kernels, strides = zip(*wav2vec2_convolutions(16_000), strict=True)
    assert (kernels, strides) == ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    kernels, strides = zip(*cpc_convolutions(16_000), strict=True)
    assert (kernels, strides) == ((10, 8, 4, 4, 4), (5, 4, 2, 2, 2))


@pytest.mark.parametrize("rate", [4000, 8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000])
def test_frames_are_about_as_long_at_any_rate(rate: int) -> None:
    assert hertz(wav2vec2_convolutions(rate), rate) == pytest.approx(50, rel=0.08)
    assert hertz(cpc_convolutions(rate), rate) == pytest.approx(100, rel=0.26 if rate < 8000 else 0.08)


def test_latents_know_their_ten_milliseconds_and_contexts_what_came_before() -> None:
    encoder = built("conv-gru-tiny").double()
    assert isinstance(encoder, ConvGRU)
    latents = encoder.latents(waves().double()).detach().requires_grad_()
    contexts, _ = encoder.context(latents)
    torch.testing.assert_close(contexts, encoder.features(waves().double()))
    (gradient,) = torch.autograd.grad(contexts[:, 20].sum(), latents)
    seen = gradient.abs().sum((0, 2)) > 0
    assert seen.tolist() == [frame <= 20 for frame in range(latents.shape[1])]
    convolutions = encoder.convolutions
    wave = waves(1).double()[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(convolutions(wave)[0, :, 10].sum(), wave)
    hop, reach = 1, 1
    for kernel, stride in encoder.layers:
        hop, reach = hop * stride, reach + (kernel - 1) * hop
    touched = gradient[0, 0].nonzero().flatten()
    assert (touched.min().item(), touched.max().item()) == (10 * hop, 10 * hop + reach - 1)


def test_it_is_transformers_model() -> None:
    encoder = built("wav2vec2-tiny")
    assert isinstance(encoder, Wav2Vec2)
    with torch.no_grad():
        theirs = encoder.body(standardize(waves()))
        inputs, features = encoder.inputs_and_latents(waves())
        torch.testing.assert_close(encoder.features(waves()), theirs.last_hidden_state)
        torch.testing.assert_close(features, theirs.extract_features)
        hidden = torch.rand(3, encoder.grid()[0], generator=torch.Generator().manual_seed(2)) < 0.4
        veil = torch.linspace(-1, 1, encoder.dim)
        encoder.body.masked_spec_embed = nn.Parameter(veil)
        states, heard = encoder.forward_masked(veil, hidden, waves())
        veiled = encoder.body(standardize(waves()), mask_time_indices=hidden)
    torch.testing.assert_close(states, veiled.last_hidden_state)
    torch.testing.assert_close(heard, features)
    assert inputs.shape == states.shape
    assert (states - theirs.last_hidden_state).abs().max() > 0.01


def test_the_base_model_is_the_papers() -> None:
    with torch.device("meta"):
        encoder = audio_encoder("wav2vec2-base", sample_rate=16_000, seconds=15.6)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(94.4e6, rel=0.001)
    assert encoder.grid()[0] == 779
    assert len(encoder.body.encoder.layers) == 12


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_is_near_float32(name: str) -> None:
    encoder = built(name)
    with torch.no_grad():
        exact = encoder(waves())
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder(waves())
    assert (half.float() - exact).norm() < 0.2 * exact.norm()


def test_mistakes() -> None:
    message = r"unknown encoder 'wav2vec-tiny', did you mean 'wav2vec2-tiny'\?; for audio there are mel-resnet8, "
    with pytest.raises(UserError, match=message):
        built("wav2vec-tiny")
    with pytest.raises(UserError, match=r"seconds must be at least 0.1, got 0.05"):
        built("mel-resnet8", seconds=0.05)
