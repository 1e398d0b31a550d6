"""A run as a scikit-learn transformer.

make_pipeline(Embedder("runs/photos"), LogisticRegression()).fit(paths, labels)
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from likewise.errors import UserError
from likewise.modalities.run import Run, open_run


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Samples to the embeddings of a run's encoder, which stays as it is: `fit` learns nothing.

    Samples are what `Run.encode` takes, many of them: a list of paths, images, texts or waveforms, a column of a table,
    or an array. Images may also be flattened to `(n, size * size * channels)`, of the size and the channels of the run;
    a table `(n, length)` of recordings is one waveform a row.

    Args:
        run: a finished run, or its folder.
        modality: of an encoder of pairs, what the samples are: image, text or audio. What fits if not given.
        sample_rate: of recordings that are arrays, in Hz; the run's own if not given.
        batch_size: samples at a time.

    Attributes:
        run_: the run, opened by `fit`.
    """

    def __init__(
        self,
        run: Run | str | Path,
        *,
        modality: str | None = None,
        sample_rate: int | None = None,
        batch_size: int = 512,
    ) -> None:
        self.run = run
        self.modality = modality
        self.sample_rate = sample_rate
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> Embedder:
        """Open the run. Samples and labels are not looked at.

        Raises:
            UserError: there is no such run, or it is not finished.
        """
        self.run_ = self._opened()
        return self

    def transform(self, X: Any) -> Float32[np.ndarray, "n dim"]:
        """The embeddings of samples, one row each; `fit` need not have been called.

        Raises:
            UserError: for no samples, samples of another modality, a file that cannot be read.
        """
        run = getattr(self, "run_", None) or self._opened()
        return run.encode(
            _unflattened(X, run, self.modality),
            modality=self.modality,
            sample_rate=self.sample_rate,
            batch_size=self.batch_size,
        )

    @property
    def _n_features_out(self) -> int:
        return int(self.run_.encoder.dim)  # type: ignore[arg-type]

    def _opened(self) -> Run:
        run = self.run if isinstance(self.run, Run) else open_run(self.run)
        _ = run.encoder  # what is wrong with it is reported now
        return run

    def __sklearn_clone__(self) -> Embedder:
        """A copy that shares the run: an encoder that nothing changes need not be copied for every fold."""
        return type(self)(**self.get_params(deep=False))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _unflattened(samples: Any, run: Run, modality: str | None) -> Any:
    """A table of flattened images as images; everything else as it is."""
    options = run.read_options
    images = run.modality == "image" or modality == "image"
    if not (images and getattr(samples, "ndim", 0) == 2 and np.asarray(samples).dtype.kind in "buif"):
        return samples
    table = np.asarray(samples)
    size, channels = options.size, options.channels
    if size is None or channels is None:
        raise UserError("flattened images are for runs whose size is known: give arrays (n, h, w) or (n, h, w, c)")
    if table.shape[1] != size * size * channels:
        side = math.isqrt(table.shape[1])
        hint = f"; these could be (n, {side}, {side})" if side * side == table.shape[1] else ""
        raise UserError(
            f"flattened images must have {size} * {size} * {channels} = {size * size * channels} columns, "
            f"got {table.shape[1]}: give them as arrays (n, h, w) or (n, h, w, c){hint}"
        )
    return table.reshape(len(table), size, size, channels)
