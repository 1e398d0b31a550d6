"""Models of torchvision and timm with the weights of an encoder of images, under their own names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from likewise.encoders.image import SMALL_STEM_UP_TO
from likewise.exporters.files import MODEL, write_tensors
from likewise.exporters.subject import Subject

OF_THEIR_WEIGHTS = ("tag", "license", "origin_url", "paper_ids", "paper_name", "notes", "hf_hub_id", "url")
"""What timm's configuration says of the weights that timm has for an architecture."""


def write_state(subject: Subject, folder: Path) -> None:
    """Write the weights under the names of torchvision or timm."""
    write_tensors(folder / MODEL, _body(subject).state_dict())


def building_code(subject: Subject) -> list[str]:
    """Lines of Python that build the library's `model` and load the weights, every one of them."""
    network: Any = subject.network
    name, channels, size = (network.config[key] for key in ("name", "channels", "size"))
    load = f'model.load_state_dict(load_file("{MODEL}"))'
    if not name.startswith("resnet"):
        architecture, arguments = _timm_call(subject)
        words = "".join(f", {key}={value!r}" for key, value in arguments.items())
        return [f"model = timm.create_model({architecture!r}{words})", load, "model.eval()"]
    lines = [f"model = torchvision.models.{name}()", "model.fc = torch.nn.Identity()"]
    if size <= SMALL_STEM_UP_TO:
        lines += [
            f"model.conv1 = torch.nn.Conv2d({channels}, 64, 3, 1, 1, bias=False)",
            "model.maxpool = torch.nn.Identity()",
        ]
    elif channels != 3:
        lines += [f"model.conv1 = torch.nn.Conv2d({channels}, 64, 7, 2, 3, bias=False)"]
    return [*lines, load, "model.eval()"]


def state_reader(subject: Subject, folder: Path) -> Callable[[Tensor], Tensor]:
    """The library's model with the weights that were written, loaded strictly."""
    import timm
    import torchvision

    network: Any = subject.network
    name, channels, size = (network.config[key] for key in ("name", "channels", "size"))
    model: nn.Module
    if not name.startswith("resnet"):
        architecture, arguments = _timm_call(subject)
        model = timm.create_model(architecture, **arguments)
    else:
        model = getattr(torchvision.models, name)()
        model.fc = nn.Identity()
        if size <= SMALL_STEM_UP_TO:
            model.conv1, model.maxpool = nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.Identity()
        elif channels != 3:
            model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    model.load_state_dict(load_file(folder / MODEL))
    return model.eval()


def write_timm_folder(subject: Subject, folder: Path) -> None:
    """Write the config.json and the weights of a model of timm."""
    import timm
    from timm.models._hub import save_config_for_hf

    network: Any = subject.network
    channels, size = subject.views.channels, subject.views.size
    model = _body(subject)
    if network.config["name"].startswith("resnet"):  # of torchvision; timm's has the same names
        model = timm.create_model(network.config["name"], num_classes=0, in_chans=channels)
        model.load_state_dict(_body(subject).state_dict())
    preparation = {
        "input_size": (channels, size, size),
        "mean": subject.views.mean,
        "std": subject.views.std,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
    }
    save_config_for_hf(model, str(folder / "config.json"), data_config=preparation)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in OF_THEIR_WEIGHTS:
        config["pretrained_cfg"].pop(name, None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_tensors(folder / MODEL, model.state_dict())


def timm_reader(folder: Path) -> Callable[[Tensor], Tensor]:
    """The model that timm makes of a folder."""
    import timm

    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


def _body(subject: Subject) -> nn.Module:
    body: Any = subject.network.body
    return body


def _timm_call(subject: Subject) -> tuple[str, dict[str, Any]]:
    """The name and the arguments with which timm built the network."""
    from timm.models import get_model_args

    network: Any = subject.network
    body: Any = network.body
    arguments = {key: value for key, value in get_model_args(body).items() if key != "global_pool"}
    name, own = network.config["name"], body.pretrained_cfg["architecture"]
    return (name.removeprefix("timm:") if name.startswith("timm:") else own), arguments


def embedder(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A model without gradients."""

    def embed(views: Tensor) -> Tensor:
        with torch.no_grad():
            return model(views)

    return embed
