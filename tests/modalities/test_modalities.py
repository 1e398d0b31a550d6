"""The registry, and what every modality in it brings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from likewise.data.arrays import ArraySource
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings
from likewise.modalities.base import Modality
from likewise.modalities.lookup import adapt_read_options, modality_of, part_modalities, setup
from likewise.modalities.towers import encoder_for
from likewise.registry import MODALITIES
from likewise.training.recipe import Recipe
from small_data import digits_and_names, recordings, sentences

SMALL = {"max_tokens": 16, "vocab_size": 100}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path_factory.mktemp("cache")))


def samples(modality: str) -> tuple[Source, Recipe]:
    if modality == "image":
        return open_source("digits:train"), Recipe()
    if modality == "audio":
        return open_source(recordings(8)[0], sample_rate=2000), Recipe(seconds=0.4)
    if modality == "text":
        return open_source(sentences(64)), Recipe(**SMALL)
    return digits_and_names(64), Recipe(method="clip", **SMALL)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_a_modality_says_what_it_is(name: str) -> None:
    modality = modality_of(name)
    assert isinstance(modality, Modality)
    assert modality_of(name) is modality
    assert modality.name == name
    assert len(modality.nouns) == 2
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in modality.suffixes)
    assert set(modality.recipe_fields) <= set(Recipe().to_dict())


@pytest.mark.parametrize("name", list(MODALITIES))
def test_a_setup_can_be_kept_in_a_run_and_built_again(name: str, tmp_path: Path) -> None:
    source, recipe = samples(name)
    modality = modality_of(name)
    made = setup(source, recipe, accelerated=False)
    assert made.views.modality == name
    assert made.recipe.batch_size == min(128, len(source))
    assert all(getattr(made.recipe, field) is not None for field in modality.recipe_fields if field != "pooling")

    config, files = modality.pack(made.views)
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    views = modality.unpack(json.loads(json.dumps(config)), tmp_path)
    assert modality.pack(views) == (config, files)
    batch = made.source.read(torch.arange(6))
    pairs = zip(
        _parts(views(batch, torch.manual_seed(1))), _parts(made.views(batch, torch.manual_seed(1))), strict=True
    )
    assert all(torch.equal(one, other) for one, other in pairs)

    encoder: Any = made.build_encoder()
    again = modality.encoder(**json.loads(json.dumps(encoder.config)))
    again.load_state_dict(encoder.state_dict())
    view = views.clean(batch)
    torch.testing.assert_close(again.eval()(view), encoder.eval()(view))

    later = source.fitted(ReadOptions(**modality.read_options(views))).read(torch.arange(6))
    assert all(torch.equal(one, other) for one, other in zip(_parts(later), _parts(batch), strict=True))


def _parts(batch: Any) -> list[torch.Tensor]:
    """The tensors of a batch or a view of any modality."""
    parts = getattr(batch, "parts", [batch])
    return [getattr(part, "values", part) if not isinstance(part, torch.Tensor) else part for part in parts]


@pytest.mark.parametrize(("name", "called"), [("image", "pixels"), ("audio", "log-mel"), ("text", "TF-IDF")])
def test_a_baseline_gives_features_that_were_not_trained(name: str, called: str) -> None:
    source, recipe = samples(name)
    made = setup(source, recipe, accelerated=False)
    baseline = modality_of(name).baseline(made.views, ComputeSettings(torch.device("cpu")), made.source)
    features = baseline.featurize(made.source, torch.arange(5))
    assert (baseline.name, len(features)) == (called, 5)
    assert torch.isfinite(features.to_dense()).all()


def test_labels_of_pairs_have_no_baseline() -> None:
    source, recipe = samples("pair")
    made = setup(source, recipe, accelerated=False)
    with pytest.raises(UserError, match="labels of pairs are evaluated on one part: name a folder or a table"):
        modality_of("pair").baseline(made.views, ComputeSettings(torch.device("cpu")), made.source)


def test_a_part_of_pairs_has_its_own_recipe_fields_and_texts_lose_no_tokens() -> None:
    source, recipe = samples("pair")
    made = setup(source, recipe, accelerated=False)
    assert part_modalities(source) == ["image", "text"]
    assert (made.recipe.size, made.recipe.channels, made.recipe.max_tokens, made.recipe.encoder) == (
        8, 1, 16, "resnet8+bert-tiny",
    )  # fmt: skip
    assert made.recipe.sample_rate is None
    image, text = made.views.parts
    assert (bool(image.ops), text.delete) == (True, 0.0)


def test_the_encoder_for_a_modality_is_its_tower() -> None:
    source, recipe = samples("pair")
    made = setup(source, recipe, accelerated=False)
    encoder: Any = made.build_encoder()
    assert encoder_for("pair", encoder, made.views) == (encoder, made.views)
    assert encoder_for("text", encoder, made.views) == (encoder.towers[1], made.views.parts[1])
    with pytest.raises(UserError, match=r"^the encoder takes image and text, not audio$"):
        encoder_for("audio", encoder, made.views)
    plain = nn.Identity()
    assert encoder_for("image", plain, made.views.parts[0]) == (plain, made.views.parts[0])
    batch = made.source.read(torch.arange(2))
    _, first = encoder_for("pair", plain, made.views)
    assert torch.equal(first.clean(batch), made.views.parts[0].clean(batch.parts[0]))


@pytest.mark.parametrize(
    ("encoder", "which"),
    [("resnet8", "each of image + text, got 'resnet8'"), ("a+b+c", "each of image + text, got 'a+b+c'")],
)
def test_each_modality_of_pairs_has_an_encoder(encoder: str, which: str) -> None:
    with pytest.raises(UserError, match="encoder must be one name for ") as failure:
        setup(digits_and_names(64), Recipe(method="clip", encoder=encoder, **SMALL), accelerated=False)
    assert str(failure.value).endswith(which)


def test_pairs_must_have_parts() -> None:
    class Bare(Source):
        modality, name = "pair", "bare"

        def __len__(self) -> int:
            return 2

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            return indices

    with pytest.raises(UserError, match="bare must have parts, a source for each part of its pairs, got none"):
        setup(Bare(), Recipe(method="clip"), accelerated=False)


def test_data_for_an_encoder_of_pairs_may_hold_one_part(tmp_path: Path) -> None:
    def png(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)

    png(tmp_path / "plain" / "a.png")
    png(tmp_path / "captioned" / "a.png")
    (tmp_path / "captioned" / "a.txt").write_text("black")
    (tmp_path / "one.csv").write_text("text,label\nhello,greeting\n")
    (tmp_path / "two.csv").write_text("image,caption\na.png,black\n")
    asked = ReadOptions(modality="pair")
    taken = {
        name: adapt_read_options(asked, tmp_path / name).modality
        for name in ("plain", "captioned", "one.csv", "two.csv")
    }
    assert taken == {"plain": None, "captioned": "pair", "one.csv": None, "two.csv": "pair"}
    for other in (ReadOptions(), ReadOptions(modality="text")):
        assert adapt_read_options(other, tmp_path / "plain") is other


def test_a_modality_that_is_not_registered() -> None:
    with pytest.raises(UserError, match="modality 'smell' has no views and encoders of its own"):
        modality_of("smell")


def test_a_folder_of_images_loads_nothing_of_what_reads_tables_or_recordings(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    code = (
        f"from likewise.data.open import open_source; print(len(open_source({str(tmp_path)!r}, progress=False)));"
        "import sys; print([m for m in sys.modules if m.partition('.')[0] in ('pyarrow', 'soundfile', 'tokenizers')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1", "[]"]


class CountedReads(ArraySource):
    """Counts the images that are read."""

    images = 0

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        self.images += len(indices)
        return super().read(indices)


@pytest.mark.parametrize(("size", "most"), [(64, 1), (28, 129)])
def test_only_small_images_are_looked_at_for_their_usual_method(size: int, most: int) -> None:
    source = CountedReads(np.zeros((128, 1, size, size), dtype=np.uint8), name="zeros")
    assert modality_of("image").usual_method(source, Recipe()) == ("simclr", "image samples")
    assert 0 < source.images <= most
