"""Images of any size whose masks or boxes are predicted, and the encoder that this stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from likewise.commands.classified import encoder_of_classifier
from likewise.console import count_of, tell
from likewise.data import endings, pictures
from likewise.data.annotations.layout import images_folder
from likewise.data.files import File, folder_of, printable, scan
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.errors import UserError
from likewise.evaluation.inputs import ComputeSettings
from likewise.modalities.run import Run
from likewise.runs.classifier import Classifier
from likewise.training.machine import device_name

AT_ONCE = 16
"""Images."""


class ImagesToPredict(NamedTuple):
    """The images of a folder."""

    root: Path
    """The folder that was named."""
    folder: Path
    """Where they lie, which paths are told from: its folder of images, if it has one beside masks or other things."""
    name: str
    files: list[File]
    skipped: list[tuple[str, str]]
    """(file, reason) of what could not be looked into."""


def images_to_predict(data: Any, what: str) -> ImagesToPredict:
    """The images of a data argument.

    Args:
        what: is predicted.

    Raises:
        UserError: for anything but a folder with images.
    """
    found, split = resolve(data)
    asked = folder_of(Request(found, split))
    if asked is None:
        raise UserError(f"data must be a folder of images where {what} are predicted, got {data}")
    root, name = asked
    folder = images_folder(root)
    files, unreadable = scan(folder, endings.IMAGES, pictures.recognises, "an image")
    if not files:
        raise UserError(f"{data} holds no images")
    return ImagesToPredict(root, folder, name, files, [(printable(file), why) for file, why in unreadable])


def encoder_to_predict(
    classifier: Classifier, run: Run, encoder: Any, views: Any
) -> tuple[nn.Module, Any, ComputeSettings]:
    """The encoder that a classifier of images stands on, its views, and how it is run.

    Args:
        classifier: of pixels or things.
        run: that it stands on.
        encoder, views: the user's own, from Python.
    """
    views = views or run.views
    if encoder is not None:
        run.load_encoder(encoder)
    tower, its_views = encoder_of_classifier(classifier, run, views)
    return tower, its_views, ComputeSettings(torch.device(device_name()), batch_size=AT_ONCE, channels_last=True)


def tell_unread(images: ImagesToPredict, skipped: int, listing: Path, progress: bool) -> None:
    """Say how many files could not be read."""
    if skipped:
        tell(f"{images.name}: {count_of(skipped, 'file')} could not be read (see {listing})", show=progress)
