"""Models of recordings of transformers: wav2vec 2.0, HuBERT and WavLM."""

from __future__ import annotations

from typing import Any, NamedTuple

from likewise.checks import require
from likewise.encoders.folder import PREPROCESSING, architecture_of, build_model, folder_of, read_config, read_model


class SoundPreprocessing(NamedTuple):
    """How the recordings were prepared that a model has learned from."""

    sample_rate: int
    """In Hz."""
    standardized: bool
    """Whether each had mean 0 and variance 1."""


def folder_audio_network(name: str, *, architecture: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """A `Wav2Vec2Model`, `HubertModel` or `WavLMModel` and its architecture.

    It is read from a folder, or has random weights where the architecture is given.

    Args:
        name: `hf:FOLDER`.
        architecture: as this function has returned it.

    Raises:
        UserError: for a folder that holds no such model.
    """
    if architecture is not None:
        model = build_model(architecture, "audio")
    else:
        model = read_model(name, "audio")
        config = model.config
        # Methods mask for themselves; without LayerDrop, as several processes would wait for the gradient of a dropped
        # layer; what is adapted to, and its vocabulary, are of other tasks.
        config.mask_time_prob = config.mask_feature_prob = config.layerdrop = 0.0
        config.vocab_size, config.add_adapter = 1, False
        config.bos_token_id = config.eos_token_id = config.pad_token_id = None
        model.adapter = None
        if hasattr(model, "masked_spec_embed"):
            del model.masked_spec_embed
    sizes = [*model.config.conv_kernel, *model.config.conv_stride]
    positive = all(isinstance(each, int) and each > 0 for each in sizes)
    require(positive, f"encoder '{name}': conv_kernel and conv_stride", "whole numbers above 0", sizes)
    return model, architecture_of(model) if architecture is None else architecture


def sound_preprocessing(name: str) -> SoundPreprocessing:
    """What `hf:FOLDER` says of the recordings that its model has learned from; where it does not, what is usual.

    Raises:
        UserError: for a rate that recordings can't have.
    """
    what = f"encoder '{name}'"
    said = read_config(folder_of(name), PREPROCESSING, what) or {}
    rate = said.get("sampling_rate", 16_000)
    fits = isinstance(rate, int) and 1000 <= rate <= 192_000
    require(fits, f"{what}: sampling_rate of its {PREPROCESSING}", "from 1,000 to 192,000 Hz", rate)
    return SoundPreprocessing(rate, said.get("do_normalize") is not False)
