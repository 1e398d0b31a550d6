from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.encoders.audio import ConvGRU, audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.cpc_audio import AudioCPC
from likewise.seeding import generator_for

N, RATE, FRAMES, STEPS, TIMES = 3, 1000, 16, 4, 5
WAVES = torch.randn(N, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Views:
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.01 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)


def built(**options: Any) -> AudioCPC:
    torch.manual_seed(0)
    encoder = audio_encoder("conv-gru-tiny", sample_rate=RATE, seconds=0.3)
    method = AudioCPC(encoder, **{"steps": STEPS, "times": TIMES, "temperature": 0.3, **options}).double()
    method.views = Views()
    return method


def views_of(method: AudioCPC, seed: int = 0) -> tuple[Tensor, Tensor]:
    view, times = method.make_views(Batch(WAVES, torch.arange(N)), generator_for(seed))
    return view, times


def test_the_objective_is_the_papers_equation() -> None:
    method = built()
    view, times = views_of(method)
    assert isinstance(method.encoder, ConvGRU)
    latents = method.encoder.latents(view)
    assert latents.shape == (N, FRAMES, 128)
    losses = []
    for k, predict in enumerate(method.sequence.predict, start=1):
        asked, named = [], []
        for i in range(N):
            for t in times[i].tolist():
                _, context = method.encoder.context(latents[i, None, : t + 1])  # what was heard so far
                asked.append(predict(context[0, 0]))
                named.append(latents[i, t + k])
        asked = [a - sum(asked) / len(asked) for a in asked]
        named = [b - sum(named) / len(named) for b in named]
        s = torch.stack([torch.stack([F.cosine_similarity(a, b, dim=0) for b in named]) for a in asked]) / 0.3
        losses += [-torch.log(s[i, i].exp() / s[i].exp().sum()) for i in range(len(s))]
    assert len(losses) == STEPS * N * TIMES
    expected = torch.stack(losses).mean().item()
    assert method.objective(view, times).item() == pytest.approx(expected, rel=1e-10)


def test_times_differ_from_recording_to_recording_and_leave_room_for_what_is_predicted() -> None:
    method = built()
    seen = torch.zeros(FRAMES)
    for seed in range(300):
        _, times = views_of(method, seed)
        assert times.shape == (N, TIMES)
        assert all(len(set(row)) == TIMES for row in times.tolist())
        seen += torch.bincount(times.flatten(), minlength=FRAMES)
    usable = FRAMES - STEPS
    assert (seen[usable:] == 0).all()
    share = N * TIMES * 300 / usable
    assert (seen[:usable] - share).abs().max() < 5 * share**0.5
    assert len(set(map(tuple, views_of(method)[1].tolist()))) == N
    for one, again in zip(views_of(method, 3), views_of(method, 3), strict=True):
        assert torch.equal(one, again)
    assert torch.equal(views_of(method, 3)[0], method.views(WAVES, generator_for(3)))


def test_the_context_outlives_training() -> None:
    method = built()
    method.objective(*views_of(method)).backward()
    gradients = dict(method.encoder.named_parameters())
    assert {"context.weight_hh_l0", "convolutions.0.conv.weight"} <= gradients.keys()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in gradients.values())
    names = [name for name, _ in method.named_parameters()]
    assert [name for name in names if not name.startswith("encoder.")] == [
        f"sequence.predict.{k}.weight" for k in range(STEPS)
    ]


def test_what_all_frames_have_in_common_changes_nothing() -> None:
    method = built()
    view, times = views_of(method)
    exact = method.objective(view, times).item()
    latents = method.encoder.latents
    method.encoder.context.weight_ih_l0.data.zero_()  # contexts, and so predictions, stay as they are
    without = method.objective(view, times).item()
    method.encoder.latents = lambda some: latents(some) + 100  # type: ignore[method-assign]
    assert method.objective(view, times).item() == pytest.approx(without, rel=1e-9)
    assert without != pytest.approx(exact, rel=1e-6)


def test_chance_is_what_equal_predictions_give() -> None:
    method = built()
    for predict in method.sequence.predict:
        nn.init.zeros_(predict.weight)
    chance = method.chance(N)
    assert chance == {"loss": math.log(N * TIMES)}
    assert method.objective(*views_of(method)).item() == pytest.approx(chance["loss"])


def test_the_diagnostics_see_one_pair_of_each_recording() -> None:
    method = built()
    view, times = views_of(method)
    method.objective(view, times)
    assert method.tracked is not None
    _, named = method.tracked
    latents = method.encoder.latents(view)
    right = torch.stack([latents[i, times[i] + 1] for i in range(N)])
    expected = right[:, 0] - right.mean((0, 1))
    torch.testing.assert_close(named, expected.detach())


def test_micro_batches_give_the_gradient_of_the_batch() -> None:
    gradients = []
    for micro_batch_size in (None, 1):
        method = built()
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        method.objective(*views_of(method)).backward()
        gradients.append({name: parameter.grad for name, parameter in method.named_parameters()})
    whole, cached = gradients
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-8, atol=1e-12)


def test_bfloat16_has_about_the_loss_of_float32() -> None:
    losses = []
    for half in (False, True):
        method = built().float()
        view, times = views_of(method)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = method.objective(view.float(), times)
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(parameter.grad.isfinite().all() for parameter in method.parameters())
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_bad_options_are_named() -> None:
    mel = audio_encoder("mel-resnet8", sample_rate=RATE, seconds=0.3)
    with pytest.raises(UserError, match="encoder must be a ConvGRU, got mel-resnet8: try --encoder conv-gru"):
        build_method("cpc-audio", mel, {})
    with pytest.raises(UserError, match=r"steps \+ times must be at most the 16 frames of a view, got 4 \+ 13"):
        built(times=13)
    with pytest.raises(UserError, match="steps must be at least 1, got 0"):
        built(steps=0)
    with pytest.raises(UserError, match="times must be at least 1, got 0"):
        built(times=0)
    with pytest.raises(UserError, match="temperature must be a number above 0"):
        built(temperature=-1.0)
