"""Image models of transformers, from folders that transformers itself has written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import likewise as lw
from likewise.encoders.folder import KINDS, WeightsSize, build_model, check_architecture
from likewise.encoders.folder_image import image_preprocessing
from likewise.encoders.image import ImageEncoder, image_encoder
from likewise.encoders.low_rank import add_low_rank, merge_low_rank
from likewise.errors import UserError
from likewise.training.optimizers import encoder_stages

PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
SIZES: dict[str, dict[str, Any]] = {
    "vit": PATCHES,
    "deit": PATCHES,
    "dinov2": PATCHES | {"mlp_ratio": 2},
    "dinov2_with_registers": PATCHES | {"mlp_ratio": 2, "num_register_tokens": 3},
    "resnet": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]},
    "convnext": STAGES,
    "convnextv2": STAGES,
    "swin": {
        "embed_dim": 16,
        "depths": [1, 2],
        "num_heads": [1, 2],
        "window_size": 4,
        "image_size": 32,
        "patch_size": 4,
    },
}
PREFIX = {"vit": 1, "deit": 2, "dinov2": 1, "dinov2_with_registers": 4}


def saved(kind: str, folder: Path, **changes: Any) -> Any:
    """A small model of transformers with weights that are not those of a new one, and its folder."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **SIZES[kind] | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model.eval()


def encoder_of(folder: Path, channels: int = 3, size: int = 64) -> ImageEncoder:
    return image_encoder(f"hf:{folder}", channels=channels, size=size).eval()


def outputs(kind: str, model: Any, view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What transformers says is the embedding, and the features of places."""
    resampled = {"interpolate_pos_encoding": True} if kind in ("vit", "deit", "swin") else {}
    out = model(view, **resampled)
    if kind in PREFIX:
        return out.last_hidden_state[:, 0], out.last_hidden_state[:, PREFIX[kind] :]
    if kind == "swin":
        return out.pooler_output, out.last_hidden_state
    return out.pooler_output.flatten(1), out.last_hidden_state.flatten(2).transpose(1, 2)


def test_every_type_is_tested() -> None:
    assert set(SIZES) == set(KINDS["image"])


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("size", [32, 64])
@torch.no_grad()
def test_outputs_are_those_of_transformers(kind: str, size: int, tmp_path: Path) -> None:
    model = saved(kind, tmp_path)
    encoder, view = encoder_of(tmp_path, size=size), torch.randn(2, 3, size, size)
    embedding, features = encoder.with_features(view)
    expected, places = outputs(kind, model, view)
    assert torch.equal(embedding, expected)
    assert torch.equal(features, places)
    assert torch.equal(encoder(view), embedding)
    assert embedding.shape == (2, encoder.dim)
    rows, columns = encoder.grid()
    assert features.shape == (2, rows * columns, encoder.features_dim)
    assert rows == columns > 1 or kind.startswith("convnext")
    if kind in PREFIX:  # views of parts
        assert torch.equal(encoder(view[..., :16, :16]), outputs(kind, model, view[..., :16, :16])[0])


@pytest.mark.parametrize("kind", SIZES)
def test_one_channel_is_served_by_weights_of_three(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    grey, colour = encoder_of(tmp_path, channels=1), encoder_of(tmp_path)
    view = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(grey(view), colour(view.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)
    # Built again without the folder, from plain values and plain tensors.
    config = json.loads(json.dumps(grey.config))
    for file in tmp_path.iterdir():
        file.unlink()
    again = image_encoder(**config).eval()
    assert not torch.equal(again(view), grey(view))
    again.load_state_dict(grey.state_dict())
    assert torch.equal(again(view), grey(view))
    assert again.config == grey.config
    with pytest.raises(UserError, match="channels must be 1, as the weights have them, got 3"):
        image_encoder(**config | {"channels": 3})


@pytest.mark.parametrize("kind", SIZES)
def test_every_weight_gets_a_gradient(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    encoder = encoder_of(tmp_path).train()
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("vit", 1 + 2 + 1),  # patches, blocks, norm
        ("dinov2", 1 + 2 + 1),
        ("dinov2_with_registers", 1 + 2 + 1),
        ("resnet", 1 + 3),
        ("convnext", 1 + 5 + 3 + 1),  # patches, blocks, what is between stages, norm
        ("swin", 1 + 3 + 1 + 1),
    ],
)
def test_the_layers_are_its_blocks(kind: str, layers: int, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    encoder = encoder_of(tmp_path)
    stages = encoder_stages(encoder)
    assert len(stages) == layers
    assert sorted(id(p) for stage in stages for p in stage) == sorted(id(p) for p in encoder.parameters())


@pytest.mark.parametrize("kind", ["vit", "dinov2", "resnet"])
def test_low_rank_is_learned_beside_its_weights(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    encoder, view = encoder_of(tmp_path), torch.randn(2, 3, 64, 64)
    before, names = encoder(view), set(encoder.state_dict())
    assert add_low_rank(encoder, 2) > 2
    torch.testing.assert_close(encoder(view), before)
    learned = [p for p in encoder.parameters() if p.requires_grad]
    encoder(view).square().sum().backward()
    with torch.no_grad():
        for parameter in learned:
            parameter.sub_(0.1 * parameter.grad)
    changed = encoder(view)
    assert not torch.allclose(changed, before, atol=1e-3)
    torch.testing.assert_close(merge_low_rank(encoder)(view), changed, rtol=1e-4, atol=1e-4)
    assert set(encoder.state_dict()) == names


def test_to_read_a_folder_draws_nothing(tmp_path: Path) -> None:
    """So the heads of a training that is resumed without the folder are the same."""
    saved("vit", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler")}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    torch.manual_seed(0)
    before = torch.get_rng_state()
    encoder_of(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_classifier_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.ViTConfig(**PATCHES, num_labels=7)
    classifier = transformers.ViTForImageClassification(config).eval()
    classifier.save_pretrained(tmp_path)
    encoder, view = encoder_of(tmp_path, size=32), torch.randn(2, 3, 32, 32)
    assert torch.equal(classifier.classifier(encoder(view)), classifier(view).logits)
    assert not {"id2label", "label2id", "num_labels"} & set(encoder.config["architecture"])


@pytest.mark.parametrize(
    ("written", "size", "mean"),
    [
        ({}, None, None),
        ({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "size": 224}, 224, [0.5, 0.4, 0.3]),
        ({"size": {"height": 160, "width": 160}}, 160, None),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 224, None),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": False},
            256,
            None,
        ),
        ({"size": {"height": 160, "width": 80}}, None, None),
        ({"image_mean": [0.5, 0.5, 0.5]}, None, None),
        ({"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, None, [0.0]),
    ],
)
def test_how_images_were_prepared(written: dict[str, Any], size: int | None, mean: Any, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    found = image_preprocessing(f"hf:{tmp_path}")
    assert (found.size, found.mean) == (size, mean)
    assert (found.std is None) == (mean is None)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_transformers_own_preprocessing_is_understood(name: str, tmp_path: Path) -> None:
    kind = {"vit": transformers.ViTImageProcessor, "resnet": transformers.ConvNextImageProcessor}[name]
    kind().save_pretrained(tmp_path)
    found = image_preprocessing(f"hf:{tmp_path}")
    assert found.size == {"vit": 224, "resnet": 384}[name]
    assert found.mean == pytest.approx(kind().image_mean)


def test_sizes_that_a_model_cant_take(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    saved("convnext", tmp_path / "convnext")
    wrong = r"size must be a multiple of 8, the patches of hf:.*vit, got 28: use --size 24 or 32$"
    with pytest.raises(UserError, match=wrong):
        encoder_of(tmp_path / "vit", size=28)
    with pytest.raises(UserError, match=r"got 4: use --size 8$"):
        encoder_of(tmp_path / "vit", size=4)
    with pytest.raises(UserError, match="can't take images of 8 px, try another --size: "):
        encoder_of(tmp_path / "convnext", size=8)
    saved("vit", tmp_path / "five", num_channels=5)
    with pytest.raises(UserError, match=r"channels must be 5, as those of hf:.*five, got 3"):
        encoder_of(tmp_path / "five", size=32)


def test_an_extra_brings_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("vit", tmp_path / "vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = r"^this needs transformers, which is not installed: pip install 'likewise\[hf\]'$"
    with pytest.raises(UserError, match=told):
        encoder_of(tmp_path / "vit")
    with pytest.raises(UserError, match=told):
        build_model({"model_type": "vit"}, "image")


@pytest.mark.parametrize("method", ["mae", "dinov2"])
def test_methods_that_mask_patches_refuse_a_vit_of_transformers(method: str, tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    for how in ({"encoder": f"hf:{tmp_path / 'vit'}"}, {"weights": f"hf:{tmp_path / 'vit'}"}):
        told = r"^encoder must be a Vision Transformer of timm, got hf:.*vit: try --encoder vit_tiny$"
        with pytest.raises(UserError, match=told):
            lw.pretrain("digits", method=method, size=32, channels=3, out=tmp_path / "run", progress=False, **how)
    assert not (tmp_path / "run").exists()


def test_folders_that_are_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path | str) -> str:
        with pytest.raises(UserError) as error:
            image_encoder(f"hf:{folder}", channels=3, size=32)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(f"encoder 'hf:{folder}'").strip(": ")

    monkeypatch.chdir(tmp_path)
    files = "config.json, model.safetensors and preprocessor_config.json"
    hub = f"get {files} from https://huggingface.co/facebook/dinov2-small and give their folder"
    assert refused("facebook/dinov2-small") == f"there is no such folder; of a model of the hub, {hub}"
    assert refused(tmp_path / "nowhere") == "there is no such folder"
    (tmp_path / "empty").mkdir()
    assert refused("empty") == "the folder has no config.json, which save_pretrained writes"
    saved("vit", tmp_path / "vit")
    weights = (tmp_path / "vit/model.safetensors").rename(tmp_path / "vit/pytorch_model.bin")
    assert "no .safetensors, and pickled weights are not opened" in refused("vit")
    weights.rename(tmp_path / "vit/model.safetensors")
    config = json.loads((tmp_path / "vit/config.json").read_text())

    def rewritten(**changes: Any) -> str:
        (tmp_path / "vit/config.json").write_text(json.dumps(config | changes))
        return refused("vit")

    assert rewritten(model_type="bert") == "must be a model of images, got 'bert', which is one of texts"
    assert rewritten(model_type="wavlm") == "must be a model of images, got 'wavlm', which is one of recordings"
    for unknown in ("timm_wrapper", "custom", None, 3):
        assert "its model type must be one of convnext, convnextv2, deit" in rewritten(model_type=unknown)
    assert "would have" in rewritten(image_size=10**9)
    assert "num_hidden_layers must be at most" in rewritten(num_hidden_layers=10**9)
    assert "lacks weights: " in rewritten(num_hidden_layers=3)
    assert "can't be" in rewritten(hidden_size="wide")
    (tmp_path / "vit/config.json").write_text("[1]")
    assert refused("vit") == "its config.json is not that of a model"


@pytest.mark.parametrize("kind", ["resnet", "convnext", "swin"])
def test_layers_of_stages_are_counted_before_they_are_built(kind: str) -> None:
    config = {"model_type": kind, **SIZES[kind], "depths": [1, 10**9]}
    with pytest.raises(UserError, match="depths must be at most the 40 tensors there are, got 1000000001"):
        check_architecture(config, WeightsSize(40, 30_000), "encoder.architecture")


@pytest.mark.parametrize(
    ("name", "values"),
    [("image_mean", ["a"]), ("image_mean", [float("nan")]), ("image_std", [0.0, 1.0, 1.0]), ("image_std", 3)],
)
def test_a_normalization_that_is_none(name: str, values: Any, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({name: values}))
    with pytest.raises(UserError, match=f"{name} of its preprocessor_config.json must be a list of finite numbers"):
        image_preprocessing(f"hf:{tmp_path}")


def test_unknown_names_are_answered_with_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"unknown encoder 'vit_tinny', did you mean 'vit_tiny'.*timm:NAME and hf:FOLDER"
    ):
        image_encoder("vit_tinny", channels=3, size=112)
    assert isinstance(image_encoder("resnet8", channels=1, size=28).body, nn.Sequential)
