"""What an encoder knows of simple properties: how well a linear probe on its embeddings tells them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from likewise.views.audio import AudioViews
from likewise.views.colour import luma
from likewise.views.image import ImageViews
from likewise.views.mel import log_mel
from likewise.views.resample import background
from likewise.views.text import TextViews
from likewise.views.token_tasks import ordinary

FOLDS = 5
PENALTIES = np.logspace(-2, 5, 15)
CONTENT = 0.1  # of the range: what differs from the background by more is content
SAME = 1e-6  # deviation of a property that does not vary
SILENCE = 1e-5  # amplitude

Properties = dict[str, Float64[Tensor, "n values"]]


class PropertyProbe(NamedTuple):
    """How much of the variance of a property a linear probe explains on samples that it has not learned from."""

    property: str
    r2: float
    """1: all of it; 0 or less: none."""
    untrained: float | None
    """The same on the embeddings of an encoder with random weights."""

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def properties_of(views: Any, batch: Any) -> Properties:
    """Simple properties of samples, those that vary; none for views that are not those of likewise."""
    if isinstance(views, ImageViews):
        found = _of_images(views, batch)
    elif isinstance(views, AudioViews):
        found = _of_recordings(views, batch)
    elif isinstance(views, TextViews):
        found = _of_texts(views, batch)
    else:
        found = {}
    return {name: values for name, values in found.items() if float(values.std(0, correction=0).min()) > SAME}


def probes(
    embeddings: Float64[Tensor, "n dim"],
    untrained: Float64[Tensor, "n other"] | None,
    properties: Properties,
    *,
    seed: int,
) -> list[PropertyProbe]:
    """A ridge regression for each property, cross-validated; its penalty is chosen within the training folds."""
    return [
        PropertyProbe(
            name,
            explained(embeddings, values, seed=seed),
            None if untrained is None else explained(untrained, values, seed=seed),
        )
        for name, values in properties.items()
    ]


def explained(features: Float64[Tensor, "n dim"], values: Float64[Tensor, "n values"], *, seed: int) -> float:
    """R², the mean over several values, of predictions for samples that were left out."""
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    truth = values.numpy()
    predicted = cross_val_predict(model, features.numpy(), truth, cv=folds).reshape(truth.shape)
    errors, spread = ((truth - predicted) ** 2).sum(0), ((truth - truth.mean(0)) ** 2).sum(0)
    return float((1 - errors / spread).mean())


def _of_images(views: ImageViews, batch: Any) -> Properties:
    pictures = views.picture(views.clean(batch)).double().cpu() / 255
    grey = pictures if pictures.shape[1] == 1 else luma(pictures).double()
    differs = (pictures - background(pictures)).abs().amax(1)
    content = differs * (differs > CONTENT)
    mass = content.sum((1, 2)).clamp_min(1e-9)
    down, across = (torch.linspace(0, 1, side, dtype=torch.float64) for side in content.shape[1:])
    position = torch.stack([(content.sum(1) @ across) / mass, (content.sum(2) @ down) / mass], dim=1)
    found = {
        "brightness": grey.mean((1, 2, 3))[:, None],
        "contrast": grey.std((1, 2, 3), correction=0)[:, None],
        "size of the content": (content > 0).double().mean((1, 2))[:, None],
        "position of the content": position,
    }
    return found if pictures.shape[1] == 1 else {"mean colour": pictures.mean((2, 3)), **found}


def _of_recordings(views: AudioViews, batch: Any) -> Properties:
    waves = views.clean(batch).double().cpu()
    power = log_mel(waves, views.sample_rate).exp().mean(2)
    bands = torch.linspace(0, 1, power.shape[1], dtype=torch.float64)
    return {
        "loudness": 20 * waves.square().mean(1, keepdim=True).sqrt().clamp_min(SILENCE).log10(),
        "duration": batch.lengths.double().cpu()[:, None] / views.sample_rate,
        "pitch of the mean spectrum": (power @ bands / power.sum(1).clamp_min(1e-12))[:, None],
    }


def _of_texts(views: TextViews, batch: Any) -> Properties:
    ids = views.clean(batch)
    tokens = ordinary(ids, views.special).sum(1).double().cpu()
    letters = torch.tensor([math.log1p(len(text)) for text in views.decode(ids)], dtype=torch.float64)
    return {"number of tokens": tokens[:, None], "letters (logarithm)": letters[:, None]}
