from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining, Wav2Vec2Model

from likewise.data.loader import Batch
from likewise.encoders.audio import Wav2Vec2, audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.best_rq import BestRQ
from likewise.methods.hubert import HuBERT
from likewise.methods.wav2vec2 import Wav2Vec2Pretraining
from likewise.modules.masked_contrast import contrast_with_distractors
from likewise.modules.quantizer import Codebooks, perplexity
from likewise.modules.span_masking import grey_out, sample_distractors, span_mask
from likewise.seeding import generator_for

N, SAMPLES, FRAMES = 4, 208, 25
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "conv_dim": (6, 10),
    "conv_kernel": (9, 2),
    "conv_stride": (4, 2),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "feat_quantizer_dropout": 0.0,
    "layerdrop": 0.0,
}
OPTIONS = {"mask_prob": 0.1, "mask_length": 3, "distractors": 7, "codes": 5, "code_dim": 4, "projection_dim": 8}
WAVES = 0.1 * torch.randn(N, SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Views:
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.01 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def built(**options: Any) -> Wav2Vec2Pretraining:
    torch.manual_seed(0)
    body = Wav2Vec2Model(Wav2Vec2Config(**SIZES, mask_time_prob=0.0))
    encoder = Wav2Vec2(body, {"name": "tiny", "sample_rate": SAMPLES, "seconds": 1})
    method = Wav2Vec2Pretraining(encoder, **{**OPTIONS, **options}).double()
    method.views = Views()
    return method


def views_of(method: Wav2Vec2Pretraining, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(Batch(WAVES, torch.arange(N)), generator_for(seed))


def spans_by_hand(n: int, frames: int, share: float, span: int, seed: int) -> list[list[bool]]:
    """Section 3.1, recording by recording, from the same random numbers."""
    generator = generator_for(seed)
    roundings = torch.rand(n, dtype=torch.float64, generator=generator).tolist()
    lots = torch.rand(n, frames - span + 1, dtype=torch.float64, generator=generator).tolist()
    rows = []
    for rounding, lot in zip(roundings, lots, strict=True):
        count = min(max(1, math.floor(share * frames + rounding)), len(lot))
        starts = sorted(range(len(lot)), key=lot.__getitem__)[:count]
        rows.append([any(start <= frame < start + span for start in starts) for frame in range(frames)])
    return rows


def runs(row: list[bool]) -> Iterator[int]:
    """Lengths of what is hidden without a gap."""
    length = 0
    for masked in [*row, False]:
        if length and not masked:
            yield length
        length = length + 1 if masked else 0


@given(
    n=st.integers(1, 5),
    frames=st.integers(2, 60),
    share=st.floats(0, 1),
    span=st.integers(1, 60),
    seed=st.integers(0, 9999),
)
@settings(deadline=None)
def test_masked_spans_are_the_papers(n: int, frames: int, share: float, span: int, seed: int) -> None:
    span = min(span, frames)
    masked = span_mask(n, frames, share=share, span=span, generator=generator_for(seed))
    assert masked.tolist() == spans_by_hand(n, frames, share, span, seed)
    for row in masked.tolist():
        lengths = list(runs(row))
        assert lengths
        assert min(lengths) >= span


def test_as_much_is_masked_as_the_paper_says() -> None:
    masked = span_mask(2000, 779, share=0.065, span=10, generator=generator_for(0))
    lengths = [length for row in masked.tolist() for length in runs(row)]
    assert masked.float().mean().item() == pytest.approx(0.49, abs=0.005)  # "approximately 49 % of all time steps"
    assert sum(lengths) / len(lengths) == pytest.approx(14.7, abs=0.3)  # "a mean span length of 14.7"
    single = span_mask(4000, 100, share=0.034, span=1, generator=generator_for(0)).sum(1)
    assert set(single.tolist()) == {3, 4}
    assert single.float().mean().item() == pytest.approx(3.4, abs=0.04)


def test_a_span_begins_anywhere_with_the_same_probability() -> None:
    masked = span_mask(6000, 12, share=0.0, span=3, generator=generator_for(0))
    assert (masked.sum(1) == 3).all()
    starts = torch.bincount(masked.int().argmax(1), minlength=12).tolist()
    assert starts[10:] == [0, 0]
    assert all(abs(count - 600) < 5 * 600**0.5 for count in starts[:10])


@given(data=st.data(), count=st.integers(1, 30), seed=st.integers(0, 9999))
@settings(deadline=None)
def test_distractors_are_other_masked_frames_of_the_recording(data: st.DataObject, count: int, seed: int) -> None:
    frames = data.draw(st.integers(2, 12))
    row = st.lists(st.booleans(), min_size=frames, max_size=frames).filter(lambda row: sum(row) >= 2)
    masked = torch.tensor(data.draw(st.lists(row, min_size=1, max_size=4)))
    drawn = sample_distractors(masked, count, generator_for(seed))
    assert drawn.shape == (*masked.shape, count)
    assert torch.equal(drawn, sample_distractors(masked, count, generator_for(seed)))
    for i, row in enumerate(masked.tolist()):
        for t, is_masked in enumerate(row):
            others = {u for u, other in enumerate(row) if other and u != t}
            assert set(drawn[i, t].tolist()) <= (others if is_masked else {0})


def test_distractors_are_drawn_evenly() -> None:
    masked = torch.tensor([[True, False, True, True, False, True], [False, True, True, False, False, False]])
    drawn = sample_distractors(masked, 6000, generator_for(0))
    for t, others in {0: (2, 3, 5), 2: (0, 3, 5), 3: (0, 2, 5), 5: (0, 2, 3)}.items():
        counts = torch.bincount(drawn[0, t], minlength=6)
        assert counts.sum() == counts[list(others)].sum()
        assert (counts[list(others)] - 2000).abs().max() < 5 * (6000 * 2 / 9) ** 0.5
    assert set(drawn[1, 1].tolist()) == {2}
    assert set(drawn[1, 2].tolist()) == {1}


def contrast_by_hand(
    said: Tensor, targets: Tensor, kinds: Tensor, distractors: Tensor, masked: Tensor, temperature: float
) -> tuple[list[float], list[float]]:
    """Equation 3, frame by frame; a distractor of the target's kind is no candidate."""
    losses, nearest = [], []
    for i, t in masked.nonzero().tolist():
        right = math.exp(F.cosine_similarity(said[i, t], targets[i, t], dim=0).item() / temperature)
        alike, wrong = 0, []
        for u in distractors[i, t].tolist():
            if kinds[i, u] == kinds[i, t]:
                alike += 1
            else:
                wrong.append(math.exp(F.cosine_similarity(said[i, t], targets[i, u], dim=0).item() / temperature))
        losses.append(-math.log(right / (right + sum(wrong))))
        nearest.append((right > max(wrong, default=0.0)) / (1 + alike))
    return losses, nearest


@pytest.mark.parametrize("kinds_of", ["all differ", "some alike", "all alike"])
def test_the_contrast_is_the_papers_equation(kinds_of: str) -> None:
    generator = generator_for(3)
    masked = span_mask(3, 20, share=0.1, span=3, generator=generator)
    distractors = sample_distractors(masked, 9, generator)
    kinds = torch.randint(
        {"all differ": 10**9, "some alike": 3, "all alike": 1}[kinds_of], (3, 20), generator=generator
    )
    said = torch.randn(3, 20, 5, generator=generator, dtype=torch.float64)
    table = torch.randn(3, 20, 5, generator=generator, dtype=torch.float64)
    targets = table if kinds_of == "all differ" else table[0][kinds]
    losses, nearest = contrast_with_distractors(said, targets, kinds, distractors, masked, temperature=0.3)
    expected = contrast_by_hand(said, targets, kinds, distractors, masked, 0.3)
    torch.testing.assert_close(losses, torch.tensor(expected[0], dtype=torch.float64), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(nearest, torch.tensor(expected[1], dtype=torch.float64))
    assert len(losses) == masked.sum()


def test_perplexity_counts_the_entries_in_use() -> None:
    even, one = torch.full((2, 8), 1 / 8), F.one_hot(torch.tensor([3, 0]), 8).float()
    assert perplexity(even).item() == pytest.approx(16)
    assert perplexity(one).item() == 2
    assert perplexity(torch.cat([even[:1], one[:1]])).item() == pytest.approx(9)
    shares = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.0, 0.9]], dtype=torch.float64)
    by_hand = sum(math.exp(-sum(p * math.log(p) for p in row if p)) for row in shares.tolist())
    assert perplexity(shares).item() == pytest.approx(by_hand, rel=1e-12)


def test_codes_are_chosen_with_noise_and_get_the_gradient_of_the_soft_choice() -> None:
    torch.manual_seed(0)
    books = Codebooks(6, books=2, entries=5, entry_dim=3).double()
    features = torch.randn(40, 6, dtype=torch.float64)
    noise = books.noise(40, generator=generator_for(1))
    codes = books(features, noise, temperature=0.7)
    scores = (features @ books.score.weight.T + books.score.bias).view(40, 2, 5)
    chosen = (scores + noise).argmax(2)
    by_hand = torch.stack([torch.cat([books.entries[g, chosen[i, g]] for g in range(2)]) for i in range(40)])
    assert torch.equal(codes.vectors, by_hand)
    assert torch.equal(codes.kinds, chosen[:, 0] + 5 * chosen[:, 1])
    assert torch.equal(codes.likely, scores.argmax(2))
    assert not torch.equal(codes.likely, chosen)
    torch.testing.assert_close(codes.probabilities, scores.softmax(2))

    direction = torch.randn(40, 6, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((codes.vectors * direction).sum(), books.score.weight)
    soft = ((scores + noise) / 0.7).softmax(2)
    softly = torch.cat([soft[:, g] @ books.entries[g] for g in range(2)], dim=1)
    (expected,) = torch.autograd.grad((softly * direction).sum(), books.score.weight)
    torch.testing.assert_close(gradient, expected)


def test_the_noise_is_gumbels() -> None:
    noise = Codebooks(2, books=2, entries=50, entry_dim=1).noise(400, generator=generator_for(0))
    assert noise.shape == (400, 2, 50)
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert noise.std().item() == pytest.approx(math.pi / 6**0.5, abs=0.02)


def theirs_like(method: Wav2Vec2Pretraining) -> Wav2Vec2ForPreTraining:
    """transformers' model with the same weights."""
    books = method.masked_contrast.codebooks
    sizes = {"num_codevectors_per_group": books.entries.shape[1], "num_codevector_groups": len(books.entries)}
    lengths = {"codevector_dim": method.masked_contrast.of_codes.in_features, "proj_codevector_dim": 8}
    model = Wav2Vec2ForPreTraining(Wav2Vec2Config(**SIZES, **sizes, **lengths, diversity_loss_weight=0.1)).double()
    model.wav2vec2.load_state_dict(method.encoder.body.state_dict() | {"masked_spec_embed": method.mask_embedding})
    model.quantizer.weight_proj.load_state_dict(books.score.state_dict())
    model.project_hid.load_state_dict(method.masked_contrast.of_context.state_dict())
    model.project_q.load_state_dict(method.masked_contrast.of_codes.state_dict())
    with torch.no_grad():
        model.quantizer.codevectors.copy_(books.entries.reshape(1, -1, books.entries.shape[2]))
    return model.train()


@pytest.mark.parametrize("codes", [2, 5, 40])
def test_loss_and_gradients_are_those_of_transformers(codes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(codes=codes)
    view, masked, distractors, noise = views_of(method)
    answer = method.objective(view, masked, distractors, noise)
    answer["loss"].backward()

    def gumbel_softmax(scores: Tensor, tau: float, hard: bool) -> Tensor:
        assert hard
        soft = ((scores + noise.view(scores.shape)) / tau).softmax(1)
        return F.one_hot(soft.argmax(1), soft.shape[1]) - soft.detach() + soft

    monkeypatch.setattr(F, "gumbel_softmax", gumbel_softmax)
    model = theirs_like(method)
    waves = (view - view.mean(1, keepdim=True)) / (view.var(1, correction=0, keepdim=True) + 1e-7).sqrt()
    indices = distractors + FRAMES * torch.arange(N)[:, None, None]
    # It computes similarities in float32.
    output = model(waves, mask_time_indices=masked, sampled_negative_indices=indices)
    output.loss.div(masked.sum()).backward()

    assert answer["loss"].item() == pytest.approx(output.loss.item() / masked.sum().item(), rel=1e-6)
    assert answer["contrastive"].item() == pytest.approx(output.contrastive_loss.item() / masked.sum().item(), rel=1e-6)
    assert answer["diversity"].item() == pytest.approx(output.diversity_loss.item() / masked.sum().item(), rel=1e-6)
    entries = 2 * codes
    assert entries * (1 - answer["diversity"].item()) == pytest.approx(output.codevector_perplexity.item(), rel=1e-6)
    pairs = [
        (method.encoder.body, model.wav2vec2),
        (method.masked_contrast.codebooks.score, model.quantizer.weight_proj),
        (method.masked_contrast.of_context, model.project_hid),
        (method.masked_contrast.of_codes, model.project_q),
    ]
    for mine, other in pairs:
        gradients = {name: parameter.grad for name, parameter in other.named_parameters()}
        for name, parameter in mine.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(method.mask_embedding.grad, model.wav2vec2.masked_spec_embed.grad, rtol=1e-4, atol=1e-7)
    entries_gradient = model.quantizer.codevectors.grad.view_as(method.masked_contrast.codebooks.entries)
    torch.testing.assert_close(method.masked_contrast.codebooks.entries.grad, entries_gradient, rtol=1e-4, atol=1e-7)


def test_views_are_a_function_of_the_generator() -> None:
    method = built()
    one, again, other = views_of(method, 1), views_of(method, 1), views_of(method, 2)
    assert [tuple(x.shape) for x in one] == [(N, SAMPLES), (N, FRAMES), (N, FRAMES, 7), (N, FRAMES, 2, 5)]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(one[0], method.views(WAVES, generator_for(1)))


def test_micro_batches_give_the_gradient_of_the_batch() -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built()
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        method.objective(*views_of(method))["loss"].backward()
        gradients.append({name: p.grad for name, p in method.named_parameters()})
    whole, cached = gradients
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-8, atol=1e-12)


def test_chance_is_what_a_mute_context_gives() -> None:
    method = built(codes=4000)  # hardly any two frames alike
    nn.init.zeros_(method.masked_contrast.of_context.weight)
    nn.init.zeros_(method.masked_contrast.of_context.bias)
    answer = method.objective(*views_of(method))
    chance = method.chance(N)
    assert chance == {"contrastive": math.log(8)}
    assert answer["contrastive"].item() == pytest.approx(chance["contrastive"], abs=1e-6)
    assert answer["accuracy"].item() == pytest.approx(1 / 8, abs=1e-6)


def test_one_code_for_everything_is_no_success_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built()
    nn.init.zeros_(method.masked_contrast.codebooks.score.weight)
    method.masked_contrast.codebooks.score.bias.data[[0, 5]] = 100.0
    answer = {name: value.item() for name, value in method.objective(*views_of(method)).items()}
    assert answer["contrastive"] == 0
    assert answer["accuracy"] == pytest.approx(1 / 8)
    assert answer["code_perplexity"] == 2
    assert answer["diversity"] == pytest.approx(1 - 2 / 10)
    assert method.degenerate_solution(answer) is None  # at the beginning it may
    monkeypatch.setattr(Wav2Vec2Pretraining, "progress", 0.5)
    assert "nearly all frames have the same code: 1 of a codebook's entries" in (
        method.degenerate_solution(answer) or ""
    )
    assert method.degenerate_solution({"code_perplexity": 4.0}) is None
    assert method.degenerate_solution({}) is None


@pytest.mark.parametrize(("progress", "gumbel_temperature"), [(0.0, 2.0), (0.5, 2 * math.exp(-1)), (0.9, 0.5)])
def test_the_choice_hardens_as_training_goes_on(
    progress: float, gumbel_temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, asked = built(), []
    monkeypatch.setattr(Wav2Vec2Pretraining, "progress", progress)
    choose = method.masked_contrast.codebooks.forward
    monkeypatch.setattr(
        method.masked_contrast.codebooks,
        "forward",
        lambda *args, temperature: asked.append(temperature) or choose(*args, temperature=temperature),
    )
    method.objective(*views_of(method))
    assert asked == [pytest.approx(gumbel_temperature)]


def test_the_diagnostics_see_one_masked_frame_of_each_recording() -> None:
    method = built()
    view, masked, *drawn = views_of(method)
    method.objective(view, masked, *drawn)
    assert method.tracked is not None
    said, right = method.tracked
    assert said.shape == right.shape == (N, 8)
    states, _ = method.encoder.forward_masked(method.mask_embedding, masked, view)
    first = [row.index(True) for row in masked.tolist()]
    expected = torch.stack([method.masked_contrast.of_context(states[i, t]) for i, t in enumerate(first)])
    torch.testing.assert_close(said, (expected - expected.mean(0)).detach())
    torch.testing.assert_close(right.mean(0), torch.zeros(8).double(), atol=1e-12, rtol=0)


def test_bfloat16_has_about_the_loss_of_float32() -> None:
    losses = []
    for half in (False, True):
        method = built().float()
        view, *drawn = views_of(method)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = method.objective(view.float(), *drawn)
        answer["loss"].backward()
        assert answer["loss"].dtype == torch.float32
        assert all(p.grad.isfinite().all() for p in method.parameters())
        losses.append(answer["loss"].item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_pictures_show_what_is_masked() -> None:
    method = built()
    assert method.figures(WAVES, generator_for(0)) == []

    class Seen(Views):
        def picture(self, view: Tensor) -> Tensor:
            return torch.full((len(view), 1, 3, 2 * FRAMES), 7, dtype=torch.uint8)

    method.views = Seen()
    (figure,) = method.figures(WAVES, generator_for(0))
    _, masked, *_ = views_of(method)
    heard, grey = (torch.from_numpy(row.pictures) for row in figure.rows)
    assert [row.name for row in figure.rows] == ["recording", "masked"]
    assert (heard == 7).all()
    expected = torch.where(masked, 128, 7).repeat_interleave(2, dim=1)
    assert torch.equal(grey, expected[:, None, None].expand(-1, 1, 3, -1).byte())
    assert f"Of 25 frames {masked.float().mean():.0%} are masked" in figure.caption
    assert grey_out(heard[:1], torch.tensor([[True, False]]))[0, 0, 0].tolist() == [128] * 25 + [7] * 25


def test_bad_options_are_named() -> None:
    mel = audio_encoder("mel-resnet8", sample_rate=4000, seconds=1)
    with pytest.raises(UserError, match="encoder must be a Wav2Vec2, got mel-resnet8: try --encoder wav2vec2-"):
        build_method("wav2vec2", mel, {})
    for masking in (0.0, 1.0, -0.5):
        with pytest.raises(UserError, match=f"mask_prob must be above 0 and below 1, got {masking:g}"):
            built(mask_prob=masking)
    for span in (1, FRAMES):
        message = f"mask_length must be from 2 to 24, below the 25 frames of a view, got {span}"
        with pytest.raises(UserError, match=message):
            built(mask_length=span)
    with pytest.raises(UserError, match="distractors must be at least 1, got 0"):
        built(distractors=0)
    with pytest.raises(UserError, match="codes must be at least 2, got 1"):
        built(codes=1)
    with pytest.raises(UserError, match="temperature must be a number above 0"):
        built(temperature=0.0)
    with pytest.raises(UserError, match="diversity must be 0 or more, got -1"):
        built(diversity=-1.0)


def test_a_recording_has_at_least_so_many_spans() -> None:
    masked = span_mask(500, 40, share=0.001, span=4, least=2, generator=generator_for(0))
    assert masked.sum(1).min() > 4  # two spans may overlap, but begin apart
    assert masked.sum(1).max() == 8
    usual = span_mask(500, 40, share=0.1, span=4, generator=generator_for(0))
    assert torch.equal(span_mask(500, 40, share=0.1, span=4, least=2, generator=generator_for(0)), usual)
    assert span_mask(3, 4, share=0.1, span=4, least=2, generator=generator_for(0)).all()  # there is room for one
    assert (Wav2Vec2Pretraining.least_spans, HuBERT.least_spans, BestRQ.least_spans) == (2, 2, 1)
