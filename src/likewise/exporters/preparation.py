"""How samples become what an exported encoder takes: as JSON for programs, and as Python for people."""

from __future__ import annotations

from typing import Any

from likewise.encoders.text import StaticBody, TextEncoder
from likewise.exporters.formats import GRAPHS
from likewise.exporters.subject import Subject
from likewise.exporters.text_models import TOKENIZER

GREY = "grey: 0.299 red + 0.587 green + 0.114 blue"


def describe(subject: Subject, to: str) -> dict[str, Any]:
    """What `preprocessing.json` says."""
    described = {"image": _of_images, "text": _of_texts, "audio": _of_recordings}[subject.modality]
    return described(subject, to)


def _of_images(subject: Subject, to: str) -> dict[str, Any]:
    views = subject.views
    inside = to in GRAPHS
    colours = {1: GREY, 3: "RGB; grey is repeated"}.get(views.channels, "the channels of the file, in their order")
    return {
        "input": "images",
        "type": "uint8" if inside else "float32",
        "shape": ["batch", views.channels, views.size, views.size],
        "resize": f"the square in the middle, to {views.size} x {views.size}, bilinear, antialiased",
        "channels": colours,
        "levels": None
        if views.range is None
        else {"of_0": views.range[0], "of_255": views.range[1], "others": "in proportion, rounded and clamped"},
        "normalisation": {
            "formula": "(image / 255 - mean) / std",
            "mean": list(views.mean),
            "std": list(views.std),
            "inside_the_graph": inside,
        },
    }


def _of_texts(subject: Subject, to: str) -> dict[str, Any]:
    network: Any = subject.network
    special = subject.views.special
    plain = to == "sentence-transformers" and isinstance(network.body, StaticBody)  # see `write_plain_tokenizer`
    return {
        "input": "input_ids",
        "type": "int64",
        "shape": ["batch", "tokens"],
        "tokenizer": TOKENIZER,
        "frame": None if plain else {"first": special.cls, "last": special.sep},
        "padding": None if plain else {"id": special.pad, "side": "right"},
        "max_tokens": subject.views.max_tokens - (2 if plain else 0),
        "pooling": network.pooling if isinstance(network, TextEncoder) else None,
        "pooling_inside": to != "transformers",
    }


def _of_recordings(subject: Subject, to: str) -> dict[str, Any]:
    views = subject.views
    any_length = to == "transformers" or subject.name.startswith("wav2vec2")
    return {
        "input": "waves",
        "type": "float32, from -1 to 1",
        "shape": ["batch", "samples" if any_length else views.samples],
        "sample_rate": views.sample_rate,
        "samples": views.samples,
        "channels": "their mean",
        "crop": "the middle; a shorter recording is repeated from its beginning on",
        "standardisation": {
            "formula": "(wave - mean) / sqrt(variance + 1e-7), of each recording",
            "inside_the_graph": to in GRAPHS,
        },
    }


def reading_code(subject: Subject, to: str) -> tuple[list[str], list[str]]:
    """Imports, and the lines that read a sample into a batch of one, as NumPy has it."""
    views = subject.views
    if subject.modality == "text":
        return [], ['texts = ["a text", "another text"]']
    if subject.modality == "audio":
        rate, samples = views.sample_rate, views.samples
        return ["import numpy as np", "import soundfile"], [
            'wave, rate = soundfile.read("recording.wav", dtype="float32", always_2d=True)',
            f"assert rate == {rate}  # resample it if not",
            "wave = wave.mean(1)",
            f"start = max(0, (len(wave) - {samples}) // 2)  # the middle; a shorter one is repeated",
            f"waves = np.resize(wave[start : start + {samples}], {samples})[None]",
        ]
    size, channels = views.size, views.channels
    if views.range is not None or channels not in (1, 3):
        lines = [f'images = np.load("images.npy")  # uint8 (n, {channels}, {size}, {size}), see preprocessing.json']
        return ["import numpy as np"], lines
    grey = '.convert("L")' if channels == 1 else ""
    lines = ['picture = ImageOps.exif_transpose(Image.open("image.png")).convert("RGB")']
    if to == "timm":
        return ["from PIL import Image, ImageOps"], [f"{lines[0]}{grey}"]
    lines += [
        "side = min(picture.size)",
        "left, top = (picture.width - side) // 2, (picture.height - side) // 2",
        "picture = picture.crop((left, top, left + side, top + side))",
        f"picture = picture.resize(({size}, {size}), Image.Resampling.BILINEAR, reducing_gap=2)",
        f"images = np.array(picture{grey}).reshape(1, {size}, {size}, {channels}).transpose(0, 3, 1, 2)",
    ]
    return ["import numpy as np", "from PIL import Image, ImageOps"], lines
