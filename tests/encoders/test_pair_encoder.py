"""Towers side by side, and the views of their parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.data.batches import Parts
from likewise.encoders import adopt, image_encoder
from likewise.encoders.pair import PairEncoder, two_towers
from likewise.errors import UserError
from likewise.modalities.lookup import modality_of
from likewise.views import ImageViews
from likewise.views.pair import PairViews

PAIR = modality_of("pair")
SMALL = {"name": "resnet8", "channels": 1, "size": 8}
GREY = ImageViews(["horizontal-flip"], size=8, channels=1)
COLOUR = ImageViews([], size=12, channels=3)


class Mean(nn.Module):
    dim = 3

    def forward(self, view: Tensor) -> Tensor:
        return view.flatten(1).mean(1, keepdim=True).expand(-1, 3) * torch.tensor([1.0, 2.0, 3.0])


def batch(n: int = 4) -> Parts:
    generator = torch.Generator().manual_seed(0)
    shapes = [(n, 3, 10, 10), (n, 3, 12, 12)]
    return Parts(tuple(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for shape in shapes))


def built(seed: int = 0) -> PairEncoder:
    torch.manual_seed(seed)
    return PairEncoder([image_encoder(**SMALL), image_encoder("resnet8", channels=3, size=12)], 6, ["image", "image"])


def test_a_tower_is_its_encoder_and_a_linear_map_without_bias() -> None:
    encoder = built().eval()
    view = torch.randn(4, 1, 8, 8)
    tower: Any = encoder.towers[0]
    assert (tower.dim, encoder.dim) == (6, 6)
    expected = tower.encoder(view) @ tower.projection.weight.T
    torch.testing.assert_close(tower(view), expected)
    assert tower.projection.bias is None
    assert tower.projection.weight.std().item() == pytest.approx(256**-0.5, rel=0.1)


def test_the_embedding_of_a_pair_is_the_mean_of_its_parts_unit_embeddings() -> None:
    encoder = built().eval()
    view = PairViews([GREY, COLOUR]).clean(batch())
    z = [tower(part) for tower, part in zip(encoder.towers, view.parts, strict=True)]
    expected = sum(each / (each * each).sum(1, keepdim=True).sqrt() for each in z) / 2
    torch.testing.assert_close(encoder(view), expected)
    assert encoder(view).shape == (4, 6)
    assert adopt(encoder, view) is encoder
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(view).dtype == torch.float32


def test_it_is_built_again_from_its_config() -> None:
    encoder = built()
    config = json.loads(json.dumps(encoder.config))
    assert config == {
        "encoders": [SMALL, {"name": "resnet8", "channels": 3, "size": 12}],
        "joint_dim": 6,
        "modalities": ["image", "image"],
    }
    again = PAIR.encoder(**config)
    again.load_state_dict(encoder.state_dict())
    view = PairViews([GREY, COLOUR]).clean(batch())
    torch.testing.assert_close(again.eval()(view), encoder.eval()(view))
    assert PairEncoder([image_encoder(**SMALL), Mean()], 6, ["image", "noise"]).config is None


def test_parts_of_one_modality_may_share_their_tower() -> None:
    torch.manual_seed(0)
    encoder = PairEncoder([image_encoder(**SMALL)], 6, ["image", "image", "image"])
    assert len(encoder.towers) == 3
    assert len({id(tower) for tower in encoder.towers}) == 1
    names = [name for name, _ in encoder.named_parameters()]
    assert all(name.startswith("towers.0.") for name in names)
    assert encoder.config is not None
    again = PAIR.encoder(**encoder.config)
    assert again.towers[0] is again.towers[2]
    again.load_state_dict({name: value.clone() for name, value in encoder.state_dict().items()})
    view = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(again.eval().towers[1](view), encoder.eval().towers[2](view))


def test_encoders_and_parts_must_match() -> None:
    with pytest.raises(UserError, match="encoders must be one for each of image, text, got 1"):
        PairEncoder([Mean()], 6, ["image", "text"])
    with pytest.raises(UserError, match="encoders must be one for each of image, image, got 3"):
        PairEncoder([Mean()] * 3, 6, ["image", "image"])
    with pytest.raises(UserError, match="got resnet8: give data of two columns"):
        two_towers(image_encoder(**SMALL))
    assert two_towers(built()) is not None


def test_views_of_pairs_are_those_of_their_parts() -> None:
    views = PairViews([GREY, COLOUR])
    samples = batch()
    for way, expected in {
        "clean": lambda generator: (GREY.clean(samples.parts[0]), COLOUR.clean(samples.parts[1])),
        "weak": lambda generator: (
            GREY.weak(samples.parts[0], generator),
            COLOUR.weak(samples.parts[1], generator),
        ),
        "__call__": lambda generator: (GREY(samples.parts[0], generator), COLOUR(samples.parts[1], generator)),
    }.items():
        made = torch.Generator().manual_seed(3)
        view = getattr(views, way)(*([samples] if way == "clean" else [samples, made]))
        assert isinstance(view, Parts)
        for part, wanted in zip(view.parts, expected(torch.Generator().manual_seed(3)), strict=True):
            assert torch.equal(part, wanted)
    assert str(views) == "horizontal-flip; as they are"
    with pytest.raises(ValueError, match="shorter"):
        views.clean(Parts(samples.parts[:1]))


def test_views_are_made_again_from_their_config() -> None:
    views = PairViews([GREY, COLOUR])
    config, files = PAIR.pack(views)
    again = PAIR.unpack(json.loads(json.dumps(config)), Path())
    assert files == {}  # what texts keep beside is a tokenizer
    samples = batch()
    one, other = (each(samples, torch.Generator().manual_seed(1)).parts for each in (views, again))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert PAIR.pack(again)[0] == config
