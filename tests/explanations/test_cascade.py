"""Cascading randomization: stages in the order of use, the last one untrained first, until nothing is left."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import chain

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from explained import RATE, image, recording, text, views_of_texts
from likewise.encoders.audio import AUDIO_ENCODERS, audio_encoder
from likewise.encoders.image import image_encoder
from likewise.encoders.pair import Tower
from likewise.encoders.text import text_encoder
from likewise.explanations.cascade import MOST_STAGES, encoder_stages, stage_by_stage
from likewise.explanations.compare import compare_samples
from likewise.explanations.maps import raw_map
from likewise.explanations.sample import ExplainedSample


class Backwards(nn.Module):
    """Its layers are named in another order than the one in which a sample passes them."""

    dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(3))
        self.norm = nn.LayerNorm(8)
        self.unused = nn.Linear(2, 2)
        self.last = nn.Linear(8, self.dim)
        self.middle = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
        self.first = nn.Linear(3 * 16, 8)

    def forward(self, view: Tensor) -> Tensor:
        cells = nn.functional.adaptive_avg_pool2d(view + self.start.view(1, 3, 1, 1), 4)
        return self.last(self.middle(self.norm(self.first(cells.flatten(1)))))


STAGES = [
    ["first.weight", "first.bias", "norm.weight", "norm.bias", "start"],
    ["middle.0.weight", "middle.0.bias"],
    ["middle.2.weight", "middle.2.bias"],
    ["last.weight", "last.bias", "unused.weight", "unused.bias"],
]


def two_of(build: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    """Two encoders of one architecture: one that stands for a trained one, the other untrained."""
    encoders = []
    for seed in range(2):
        torch.manual_seed(seed)
        encoders.append(build().eval())
    with torch.no_grad():
        for tensor in chain(encoders[0].parameters(), encoders[0].buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.rand_like(tensor))  # what begins as a constant is learned, too
    return encoders[0], encoders[1]


def tensors_of(encoder: nn.Module) -> dict[str, Tensor]:
    found = chain(encoder.named_parameters(), encoder.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in found}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_stages_are_in_the_order_of_use_and_become_untrained_from_the_last_to_the_first() -> None:
    trained, untrained = two_of(Backwards)
    sample = image(trained)
    stages = encoder_stages(sample)
    assert [stage.tensors for stage in stages] == STAGES
    assert [stage.name for stage in stages] == ["first to norm", "middle.0", "middle.2", "last to unused"]
    ours, new = tensors_of(trained), tensors_of(untrained)
    assert not any(torch.equal(ours[name], new[name]) for name in ours)
    steps = 0
    for steps, [step] in enumerate(stage_by_stage([sample], [untrained]), 1):
        left = [name for stage in STAGES[: len(STAGES) - steps] for name in stage]
        assert same(tensors_of(step.encoder), {name: ours[name] if name in left else new[name] for name in ours})
    assert steps == len(STAGES)


def sample_of(name: str) -> ExplainedSample:
    """A sample before an encoder with random weights."""
    if name in ("bert-tiny", "gpt-tiny"):
        pytest.importorskip("transformers")
        return text(text_encoder(name, vocab_size=10, max_tokens=12, pad=0), views_of_texts(), "a red apple")
    if name in AUDIO_ENCODERS:
        return recording(audio_encoder(name, sample_rate=RATE, seconds=0.5))
    if name == "tower":
        return image(Tower(image_encoder("resnet8", channels=3, size=16), 8))
    size = 28 if name == "vit_tiny" else 16
    return image(image_encoder(name, channels=3, size=size), size=size)


NAMES = {
    "resnet8": ["body.0 to body.1", "body.3", "body.4", "body.5"],
    "resnet18": [
        "body.conv1 to body.bn1",
        "body.layer1.0 to body.layer1.1",
        "body.layer2.0",
        "body.layer2.1 to body.layer3.0",
        "body.layer3.1",
        "body.layer4.0 to body.layer4.1",
    ],
    "nature_cnn": [*(f"body.convolutions.{i}" for i in (0, 2, 4)), "body.embedding.1 to body.embedding.2"],
    "vit_micro": ["body.patch_embed", "body.blocks.0", "body.blocks.1", "body.blocks.2 to body.norm"],
    "vit_tiny": [
        "body.patch_embed to body.blocks.0",
        *(f"body.blocks.{i} to body.blocks.{i + 1}" for i in (1, 3, 5, 7)),
        "body.blocks.9 to body.norm",
    ],
    "bert-tiny": ["body.embeddings", "body.encoder.layer.0", "body.encoder.layer.1"],
    "gpt-tiny": ["body.wte", "body.wpe", "body.h.0", "body.h.1 to body.ln_f"],
    "mel-resnet8": ["image.body.0 to image.body.1", "image.body.3", "image.body.4", "image.body.5"],
    "conv-gru-tiny": [*(f"convolutions.{i}" for i in range(5)), "context"],
    "wav2vec2-tiny": [
        "body.feature_extractor.conv_layers.0",
        "body.feature_extractor.conv_layers.1 to body.feature_extractor.conv_layers.2",
        "body.feature_extractor.conv_layers.3 to body.feature_projection",
        "body.encoder.pos_conv_embed to body.encoder.layer_norm",
        "body.encoder.layers.0 to body.encoder.layers.1",
        "body.encoder.layers.2 to body.encoder.layers.3",
    ],
    "tower": ["encoder.body.0 to encoder.body.1", *(f"encoder.body.{i}" for i in (3, 4, 5)), "projection"],
}


@pytest.mark.parametrize("name", NAMES)
def test_after_all_stages_an_encoder_is_the_untrained_one_and_the_trained_one_is_as_it_was(name: str) -> None:
    trained, untrained = two_of(lambda: sample_of(name).encoder)
    sample = sample_of(name).before(trained)
    before = tensors_of(trained)
    stages = encoder_stages(sample)
    assert [stage.name for stage in stages] == NAMES[name]
    assert len(stages) <= MOST_STAGES
    assert sorted(tensor for stage in stages for tensor in stage.tensors) == sorted(before)
    changed, last = 0, before
    for [step] in stage_by_stage([sample], [untrained]):
        now = tensors_of(step.encoder)
        changed += not same(last, now)
        last = now
    assert changed == len(stages)
    assert same(last, tensors_of(untrained))
    assert same(before, tensors_of(sample.encoder))


def test_correlations_are_those_of_maps_of_encoders_of_which_the_last_stages_are_untrained() -> None:
    trained, untrained = two_of(Backwards)
    first, second = image(trained, 0), image(trained, 1)
    found = compare_samples(first, second, by="occlusion", untrained=[(untrained,) * 2], cascade=True, seed=0)
    mixed, new = copy.deepcopy(trained), untrained.state_dict()
    exact: list[list[float]] = [[1.0], [1.0]]
    whole = [raw_map(one, other.embedding(), "occlusion") for one, other in ((first, second), (second, first))]
    for stage in reversed(STAGES):
        mixed.load_state_dict(mixed.state_dict() | {name: new[name] for name in stage})
        both = [each.before(mixed) for each in (first, second)]
        for place, (one, other) in enumerate((both, both[::-1])):
            values = raw_map(one, other.embedding(), "occlusion")
            exact[place].append(spearmanr(whole[place], values).statistic)
    assert [each.maps[0].cascade for each in found.samples] == [pytest.approx(curve, abs=1e-9) for curve in exact]
    assert min(abs(value) for curve in exact for value in curve[1:]) < 0.9
    assert [each.stages for each in found.samples] == [[stage.name for stage in encoder_stages(first)]] * 2


def test_a_cascade_ends_with_the_correlation_with_untrained_encoders_which_is_also_told_without() -> None:
    encoders = []
    for seed in range(4):
        torch.manual_seed(seed)
        encoders.append(image_encoder("resnet8", channels=3, size=16))
    sample = image(encoders[0])
    untrained = [(each, each) for each in encoders[1:]]
    [cascaded] = compare_samples(sample, None, by=None, untrained=untrained, cascade=True, seed=0).samples
    [plain] = compare_samples(sample, None, by=None, untrained=untrained, seed=0).samples
    assert plain.stages is None
    for found, other in zip(cascaded.maps, plain.maps, strict=True):
        assert found.cascade is not None
        assert len(found.cascade) == 5
        assert found.cascade[0] == pytest.approx(1)
        assert found.cascade[-1] == pytest.approx(other.untrained)
        assert found.untrained == found.cascade[-1]
        assert other.cascade is None


def test_two_towers_become_untrained_together_and_that_with_fewer_stages_sooner() -> None:
    towers = [two_of(lambda name=name: Tower(sample_of(name).encoder, 8)) for name in ("resnet8", "bert-tiny")]
    picture, words = sample_of("resnet8").before(towers[0][0]), sample_of("bert-tiny").before(towers[1][0])
    new = [tensors_of(untrained) for _, untrained in towers]
    is_new = [
        [same(tensors_of(each.encoder), theirs) for each, theirs in zip(step, new, strict=True)]
        for step in stage_by_stage([picture, words], [untrained for _, untrained in towers])
    ]
    assert is_new == [[False, False]] * 3 + [[False, True], [True, True]]
    both = [(towers[0][1], towers[1][1])]
    found = compare_samples(picture, words, by="occlusion", untrained=both, cascade=True, seed=0)
    assert [len(each.maps[0].cascade or []) for each in found.samples] == [6, 6]
    assert [len(each.stages or []) for each in found.samples] == [5, 4]
