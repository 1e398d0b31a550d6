"""The formats, and which of them an encoder can take."""

from __future__ import annotations

from likewise.checks import check_choice
from likewise.encoders.audio import Wav2Vec2
from likewise.encoders.image import SMALL_STEM_UP_TO, ImageEncoder
from likewise.encoders.text import StaticBody, TextEncoder
from likewise.errors import UserError
from likewise.exporters.subject import Subject

FORMATS = ("torch", "onnx", "timm", "transformers", "sentence-transformers", "torch.export")
GRAPHS = ("onnx", "torch.export")
"""Those that hold any network, by its operations."""
PICKLES = ("pickle", "sklearn", "joblib", "pkl", "scikit-learn")
INT8 = "int8"


def check_format(to: str) -> None:
    """Raise `UserError` for an unknown format, and for a pickle."""
    if to in PICKLES:
        raise UserError(
            f"to must be one of {', '.join(FORMATS)}, got {to!r}: a pickle runs code when it is opened, and opens only "
            "with the versions that wrote it; onnx needs no likewise, likewise.sklearn uses a run in scikit-learn"
        )
    check_choice(FORMATS, to=to)


def check_fits(to: str, subject: Subject) -> None:
    """Raise `UserError` for a format that an encoder can't take, with the reason and those that it can."""
    reasons = reasons_against(subject)
    if to in reasons:
        fitting = [name for name in FORMATS if name not in reasons]
        raise UserError(f"{subject.name} can't be exported to {to}: {reasons[to]}; take --to {' or '.join(fitting)}")


def reasons_against(subject: Subject) -> dict[str, str]:
    """The formats that an encoder can't take, each with the reason."""
    network = subject.network
    if isinstance(network, TextEncoder):
        of_images = "its models are of images"
        reasons = {"torch": "torchvision and timm have models of images only", "timm": of_images}
        if isinstance(network.body, StaticBody):
            reasons["transformers"] = "it has no model without layers"
        elif subject.projection is not None:
            reasons["transformers"] = "its models have no projection into the joint space of pairs"
        return reasons
    reasons = {"sentence-transformers": "its models are of texts"}
    if isinstance(network, Wav2Vec2):
        reasons |= {"torch": "torchvision and timm have models of images only", "timm": "its models are of images"}
    elif isinstance(network, ImageEncoder) and network.pool_grid > 1:
        places = f"its embedding keeps {network.pool_grid} x {network.pool_grid} places, which their models have not"
        reasons |= dict.fromkeys(("torch", "timm", "transformers"), places)
    elif isinstance(network, ImageEncoder) and network.config["name"] not in ("resnet8", "vit_micro"):
        reasons["transformers"] = "torchvision's and timm's networks are no models of transformers"
        if network.config["name"].startswith("resnet") and network.config["size"] <= SMALL_STEM_UP_TO:
            reasons["timm"] = f"for images up to {SMALL_STEM_UP_TO} px its stem is another one than timm's"
    else:
        own = "it is an architecture of likewise, which no other library has"
        reasons |= dict.fromkeys(("torch", "timm", "transformers"), own)
    if subject.projection is not None:
        joint = "its models have no projection into the joint space of pairs"
        reasons |= {name: joint for name in ("torch", "timm", "transformers") if name not in reasons}
    return reasons
