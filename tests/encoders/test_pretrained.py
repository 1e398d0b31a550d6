"""Known weights as other programs spell them come into an encoder; other architectures and code do not."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from likewise.encoders import ImageEncoder, image_encoder
from likewise.encoders.pretrained import load_pretrained, read_state
from likewise.errors import UserError


def resnet(seed: int, channels: int = 3, size: int = 64) -> ImageEncoder:
    torch.manual_seed(seed)
    return image_encoder("resnet18", channels=channels, size=size)


def vit(seed: int, size: int) -> ImageEncoder:
    torch.manual_seed(seed)
    return image_encoder("vit_tiny", channels=3, size=size)


def renamed(network: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def moco(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    head = {"module.encoder_q.fc.0.weight": torch.ones(2, 2)}
    networks = renamed(another, "module.encoder_k.") | renamed(known, "module.encoder_q.") | head
    return {"epoch": 200, "arch": "resnet18", "state_dict": networks, "optimizer": {"state": {0: torch.ones(3)}}}


def dino(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    return {
        "student": renamed(another, "module.backbone."),
        "teacher": renamed(known, "backbone.") | {"head.mlp.0.weight": torch.ones(2, 2)},
        "args": argparse.Namespace(arch="resnet18"),
    }


def solo_learn(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    return {"state_dict": renamed(another, "momentum_backbone.") | renamed(known, "backbone."), "epoch": 3}


def lightly(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    layers = nn.Sequential(*list(known.children())[:-1])
    return {"state_dict": renamed(layers, "backbone.") | {"projection_head.layers.0.weight": torch.ones(2, 2)}}


def distributed(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    return renamed(known, "module.") | {"module.fc.weight": torch.ones(2, 2)}


def ours(known: nn.Module, another: nn.Module) -> dict[str, Any]:
    return renamed(known, "body.")


@pytest.mark.parametrize("spelling", [moco, dino, solo_learn, lightly, distributed, ours])
def test_checkpoints_of_other_programs(spelling: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    known, another, encoder = resnet(0), resnet(1), resnet(2)
    torch.save(spelling(known.body, another.body), tmp_path / "weights.pth")
    loaded = load_pretrained(encoder, tmp_path / "weights.pth")
    assert same(encoder, known)
    assert loaded.matched == len([n for n in known.state_dict() if "num_batches" not in n])
    heads = {moco: "fc.0", dino: "head.mlp", lightly: "projection_head", distributed: "fc.weight"}
    if spelling in heads:
        assert any(heads[spelling] in name for name in loaded.unused)
        assert f"{len(loaded.unused)} not used: {loaded.unused[0]}" in str(loaded)


def test_unused_networks_of_a_file_are_named(tmp_path: Path) -> None:
    torch.save(solo_learn(resnet(0).body, resnet(1).body), tmp_path / "weights.ckpt")
    loaded = load_pretrained(resnet(2), tmp_path / "weights.ckpt")
    assert all(name.startswith("state_dict.momentum_backbone.") for name in loaded.unused)
    assert len(loaded.unused) == loaded.matched


def test_tensors_of_other_names_in_the_same_order(tmp_path: Path) -> None:
    known, encoder = resnet(0), resnet(1)
    state = {f"layer_{place}": tensor for place, tensor in enumerate(known.body.state_dict().values())}
    counters = [f"layer_{i}" for i, name in enumerate(known.body.state_dict()) if name.endswith("num_batches_tracked")]
    state = {name: tensor for name, tensor in state.items() if name not in counters}
    save_file(state | {"zz_fc.weight": torch.ones(1000, 512)}, tmp_path / "weights.safetensors")
    # safetensors sorts its names: a file that keeps no order is not taken by order.
    with pytest.raises(UserError, match="are not those of resnet18"):
        load_pretrained(encoder, tmp_path / "weights.safetensors")
    torch.save(state | {"zz_fc.weight": torch.ones(1000, 512)}, tmp_path / "weights.pt")
    loaded = load_pretrained(encoder, tmp_path / "weights.pt")
    assert same(encoder, known)
    assert loaded.how == "order and shape"
    assert loaded.unused == ("zz_fc.weight",)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_three_channels_serve_one(prefix: str, tmp_path: Path) -> None:
    """A grey image gives what it gives as three equal channels."""
    known, grey = resnet(0).eval(), resnet(1, channels=1).eval()
    load_pretrained(grey, renamed(known.body, prefix), name="known")
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(grey(images), known(images.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-3)


def test_a_vision_transformers_positions_are_resampled() -> None:
    known, encoder = vit(0, 112), vit(1, 224)
    loaded = load_pretrained(encoder, renamed(known.body, "model."), name="known")
    assert loaded.matched == len(encoder.body.state_dict())
    assert torch.equal(encoder.body.blocks[3].attn.qkv.weight, known.body.blocks[3].attn.qkv.weight)
    theirs, own = known.body.pos_embed[:, 1:], encoder.body.pos_embed[:, 1:]
    assert own.shape[1] == 4 * theirs.shape[1]
    torch.testing.assert_close(own.mean((0, 1)), theirs.mean((0, 1)), atol=1e-2, rtol=0)
    assert not torch.equal(vit(1, 224).body.pos_embed, encoder.body.pos_embed)


def test_clip_in_its_authors_spelling() -> None:
    """The names of OpenAI's checkpoints; the tower of words is left over."""

    def tower(seed: int) -> ImageEncoder:
        torch.manual_seed(seed)
        body: Any = VisionTransformer(
            img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, pre_norm=True, num_classes=0
        )
        return ImageEncoder(body, 32, {"name": "clip", "channels": 3, "size": 32})

    known, encoder = tower(0), tower(1)
    own = known.body.state_dict()
    for name, tensor in own.items():
        if tensor.ndim == 1 and "bias" in name:
            tensor.normal_()
    state = {
        "visual.conv1.weight": own["patch_embed.proj.weight"],
        "visual.class_embedding": own["cls_token"][0, 0],
        "visual.positional_embedding": own["pos_embed"][0],
        "visual.ln_pre.weight": own["norm_pre.weight"],
        "visual.ln_pre.bias": own["norm_pre.bias"],
        "visual.ln_post.weight": own["norm.weight"],
        "visual.ln_post.bias": own["norm.bias"],
        "transformer.resblocks.0.ln_1.weight": torch.ones(3),
    }
    parts = {
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    for place in range(2):
        for kind in ("weight", "bias"):
            block = f"visual.transformer.resblocks.{place}"
            state[f"{block}.attn.in_proj_{kind}"] = own[f"blocks.{place}.attn.qkv.{kind}"]
            for ours_, theirs in parts.items():
                state[f"{block}.{theirs}.{kind}"] = own[f"blocks.{place}.{ours_}.{kind}"]
    load_pretrained(encoder, state, name="clip")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoder.eval()(images), known.eval()(images))


def test_another_architecture_is_named() -> None:
    with pytest.raises(UserError) as caught:
        load_pretrained(resnet(0), renamed(vit(0, 112).body, ""), name="vit.pth")
    assert str(caught.value) == (
        "weights vit.pth are not those of resnet18: 0 of its 102 tensors fit; its conv1.weight is (64, 3, 7, 7), the "
        "file has none of this name: name the architecture of the weights with --encoder, and their --size"
    ).replace("102", str(len([n for n in resnet(0).body.state_dict() if "num_batches" not in n])))
    encoder = resnet(1, size=32)  # its stem is another one
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(UserError, match=r"its conv1.weight is \(64, 3, 3, 3\), the file has \(64, 3, 7, 7\) there"):
        load_pretrained(encoder, renamed(resnet(0).body, ""), name="large.pth")
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items()), "nothing is loaded"


def test_weights_of_a_training_that_failed() -> None:
    state = renamed(resnet(0).body, "")
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(
        UserError, match=r"weights failed\.pth must be finite numbers, layer2\.0\.conv1\.weight has others"
    ):
        load_pretrained(resnet(1), state, name="failed.pth")


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch broken-in",)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("weights.pth", {"model": Code()}, "holds more than tensors: save its state_dict"),
        ("weights.pth", b"PK\3\4 no archive", "can't be read"),
        ("weights.pth", b"", "can't be read"),
        ("weights.pth", {"epoch": 3}, "holds no tensors by name"),
        ("weights.safetensors", b"\xff" * 64, "can't be read"),
        ("weights.h5", b"\x89HDF", "must be a file of .safetensors, .pt"),
    ],
)
def test_files_that_are_no_weights(
    name: str, content: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=told) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "broken-in").exists()


def test_no_file() -> None:
    with pytest.raises(UserError, match=r"weights nowhere\.pth: there is no such file"):
        read_state(Path("nowhere.pth"))


def test_timm_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: Any) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    name = "timm:test_vit.r160_in1k"
    with pytest.raises(UserError) as caught:
        load_pretrained(image_encoder(name, channels=3, size=160), name)
    assert str(caught.value) == (
        f"weights '{name}' can't be fetched, huggingface.co can't be reached: get the file from "
        f"https://huggingface.co/timm/test_vit.r160_in1k and give it to pretrain, --encoder {name} --weights FILE"
    )
    with pytest.raises(UserError, match=r"of this architecture there are test_vit\.r160_in1k"):
        load_pretrained(resnet(0), "timm:test_vit.dino")
    with pytest.raises(UserError, match="timm has no model of this name"):
        load_pretrained(resnet(0), "timm:rasnet18")


def in_the_cache(folder: Path, name: str) -> nn.Module:
    """A model of timm whose weights lie where the hub's client keeps what it has fetched."""
    torch.manual_seed(7)
    model = timm.create_model(name, pretrained=False)
    revision, files = "0" * 40, folder / f"models--timm--{name}"
    (files / "refs").mkdir(parents=True)
    (files / "refs" / "main").write_text(revision)
    (files / "snapshots" / revision).mkdir(parents=True)
    save_file(model.state_dict(), files / "snapshots" / revision / "model.safetensors")
    return model


@pytest.mark.parametrize(("channels", "size"), [(3, 160), (3, 64), (1, 160)])
def test_timm_from_its_cache(channels: int, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = "test_vit.r160_in1k"
    known = in_the_cache(tmp_path, name)
    encoder = image_encoder(f"timm:{name}", channels=channels, size=size)
    load_pretrained(encoder, f"timm:{name}")
    assert torch.equal(encoder.body.blocks[0].mlp.fc1.weight, known.blocks[0].mlp.fc1.weight)
    if (channels, size) == (3, 160):
        images = torch.randn(2, 3, 160, 160)
        with torch.no_grad():
            wanted = known.eval().forward_head(known.forward_features(images), pre_logits=True)
            torch.testing.assert_close(encoder.eval()(images), wanted)
