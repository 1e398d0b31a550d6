"""A run: the folder that a training leaves, with the encoder that it trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.data.read_options import ReadOptions
from likewise.errors import UserError
from likewise.modalities.lookup import modality_of
from likewise.runs.declared import check_arguments, check_declared
from likewise.runs.files import COPY_ANEW, naming
from likewise.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from torch import nn

    from likewise.methods.base import Views

# Torch, and what needs it, is loaded when an encoder is asked for: `likewise --help` reads this file.


class Run(RunFolder):
    """A run folder and its encoder. `likewise.open_run` opens one; `likewise.pretrain` makes one.

    Attributes: `path`; `config`, what was asked for, to the last hyperparameter.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        super().__init__(path, config)
        self._encoder: nn.Module | None = None
        self._views: Views | None = None

    def __str__(self) -> str:
        if not self.finished:
            return f"{self.path}: not finished"
        if "seconds" not in self.config:
            return f"{self.path}: weights as given"
        return f"{self.path}: {self.config['seconds']:.0f} s, {self.config['samples_per_second']:,.0f} samples/s"

    def to_json(self) -> dict[str, Any]:
        return {"run": str(self.path), **self.config, "verdict": self.verdict and self.verdict.to_dict()}

    def save(self, encoder: nn.Module, views: Views) -> None:
        """Keep the trained encoder: weights as safetensors, its architecture as JSON."""
        from likewise.runs.weights import save_weights

        save_weights(self.path, encoder, self.config["encoder"])
        self.keep(encoder, views)

    def keep(self, encoder: nn.Module, views: Views) -> None:
        """Use these from now on: what was trained in this process need not be read again."""
        self._encoder, self._views = encoder, views

    def build_encoder(self) -> nn.Module:
        """The encoder's architecture with fresh random weights.

        Raises:
            UserError: when the architecture was the user's own module.
        """
        config = self.config["encoder"]
        if config is None:
            raise UserError(f"{self.path} holds the weights of your own module: build it and pass it as encoder=")
        parts = (self.config["views"] or {}).get("parts", [])
        alone = parts and "encoders" not in config  # one encoder for all parts of a sample
        from likewise.encoders.folder import WeightsSize, check_architecture
        from likewise.runs.weights import check_sizes, weights_shapes

        check_sizes(self.path, config)
        with naming(self.path / "config.json", COPY_ANEW):
            for one in config.get("encoders", [config]):
                if one.get("architecture") is not None:
                    check_declared(one["architecture"], dict[str, Any], "encoder.architecture")
                    shapes = weights_shapes(self.path)
                    size = WeightsSize(len(shapes), sum(map(math.prod, shapes)))
                    check_architecture(one["architecture"], size, "encoder.architecture")
            return modality_of(parts[0]["modality"] if alone else self.modality).encoder(**config)

    @property
    def encoder(self) -> nn.Module:
        """The trained encoder, on the CPU, in evaluation mode.

        Raises:
            UserError: when the training has not finished, or the weights are not what the run says.
        """
        if self._encoder is None:
            self.load_encoder(self.build_encoder() if self.finished else None)
        assert self._encoder is not None
        return self._encoder.cpu().eval()

    def load_encoder(self, encoder: nn.Module | None) -> nn.Module:
        """Load the trained weights into `encoder`, a module of the architecture that was trained.

        Raises:
            UserError: when the training has not finished, or the weights are another architecture's.
        """
        from likewise.runs.weights import load_weights

        if not self.finished or encoder is None:
            raise UserError(f"{self.path} is not finished: `{self.config['command']} --resume` goes on with it")
        load_weights(self.path, encoder)
        self._encoder = encoder
        return encoder

    @property
    def views(self) -> Views:
        """How the run's views are made.

        Raises:
            UserError: when they were the user's own.
        """
        if self._views is None:
            if self.config["views"] is None:
                raise UserError(f"{self.path} was trained with your own views: pass them as views=")
            with naming(self.path / "config.json", COPY_ANEW):
                self._views = modality_of(self.modality).unpack(self.config["views"], self.path)
        return self._views

    @property
    def read_options(self) -> ReadOptions:
        """How the run's own data is read."""
        asked = {name: value for name, value in self.config["read_options"].items() if value is not None}
        with naming(self.path / "config.json", COPY_ANEW):
            check_arguments(ReadOptions, asked, "read_options")
            asked |= {"columns": tuple(asked["columns"])} if "columns" in asked else {}
            options = ReadOptions(**asked)
        if self.config["views"] is None:
            return options
        return options.with_(**modality_of(self.modality).read_options(self.views))

    def encode(
        self, samples: Any, *, modality: str | None = None, sample_rate: int | None = None, batch_size: int = 512
    ) -> Float32[np.ndarray, "n dim"]:
        """The embeddings of samples, one row each, prepared as the run's own data was (as `likewise.embed` does).

        A list, a tuple, a column of a table or an array of samples gives one row each; a single sample gives one row.

        Args:
            samples: of a modality that the run has learned from.
                Images: paths, Pillow images, arrays or tensors, of any size; an array of many is `(n, h, w)`,
                `(n, h, w, c)` or `(n, c, h, w)`, an array of one `(h, w)` or `(h, w, c)`; in a list also `(c, h, w)`.
                Integers are from 0 to 255, floats from 0 to 1.
                Texts: strings.
                Recordings: paths; arrays or tensors `(length,)` of int16 or of floats from -1 to 1; an array
                `(n, length)`. Of a recording of more than 30 s, the first of the pieces that it is cut into.
                A `str` is a text where the encoder reads texts, else a path. A `Source` serves as well.
            modality: of an encoder of pairs, what the samples are: image, text or audio. What fits if not given.
            sample_rate: of recordings that are arrays, in Hz; the run's own if not given.
            batch_size: samples at a time.

        Returns:
            float32 `(n, dim)`, on the CPU.

        Raises:
            UserError: for no samples, samples of another modality, a file that cannot be read.
        """
        from likewise.modalities.encoding import encode_samples

        return encode_samples(self, samples, modality=modality, sample_rate=sample_rate, batch_size=batch_size)


def open_run(path: str | Path) -> Run:
    """Open the folder that a training left.

    Raises:
        UserError: when there is none, or it is not a run of likewise.
    """
    return Run.open(path)
