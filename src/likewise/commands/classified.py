"""A classifier and the run that it stands on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from likewise.commands.options import as_run, reopenable, split_of
from likewise.console import printable, tell
from likewise.errors import UserError
from likewise.modalities.encoder_digest import encoder_digest
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.runs.classifier import Classifier

PREDICTED = {"segmentation": ("masks", "masks"), "detection": ("boxes", "boxes.json")}
"""By task: what is predicted in place of labels, and an example of where it is written."""


def open_classifier(classifier: Any, run: Any, *, annotated: bool = False) -> tuple[Classifier, Run]:
    """A classifier, or the one in a folder, and its run: the one that is given, or where classifier.json says it is.

    Args:
        classifier: or its folder.
        run: or its folder, or None.
        annotated: whether one that predicts masks or boxes is wanted, too.

    Raises:
        UserError: for what is no classifier, or a run with another encoder.
    """
    if not isinstance(classifier, (Classifier, str, Path)):
        kind = type(classifier).__name__
        raise UserError(f"classifier must be a classifier or its folder, got {kind}: `lw.fit` returns one")
    found = classifier if isinstance(classifier, Classifier) else Classifier.open(classifier)
    if (wrong := PREDICTED.get(found.info["task"])) and not annotated:
        use = f"`likewise predict {found.path} DATA --out {wrong[1]}` uses it"
        raise UserError(f"{found.path} predicts {wrong[0]}, not labels: {use}")
    reference = found.info["encoder"]
    if run is not None:
        given = as_run(run)
        if _digest(given) != reference["digest"]:
            raise UserError(
                f"run must be the one that {found.path} was fitted on, got {given.path}, whose encoder is another one: "
                f"`likewise fit {given.path}` makes a classifier for it"
            )
        return found, given
    other: Path | None = None
    for path in _places(found):
        if (path / "config.json").is_file():
            there = Run.open(path)
            if _digest(there) == reference["digest"]:
                if isinstance(classifier, (str, Path)):
                    tell(printable(f"the encoder of {path}, which {found.path}/{Classifier.FILE} names"))
                return found, there
            other = path
    if other is not None:
        raise UserError(
            f"{other} has another encoder than {found.path} was fitted on: fit again, or name its run with --run"
        )
    raise UserError(f"the run of {found.path} is no longer at {reference['run']}: name where it is with --run")


def encoder_of_classifier(classifier: Classifier, run: Run, views: Any) -> tuple[nn.Module, Any]:
    """The encoder that a classifier's head stands on, and its views.

    The encoder is the run's, or the classifier's own if it was fine-tuned; of an encoder of pairs, the half that takes
    the samples that the labels were of.

    Args:
        classifier: fitted on the run.
        run: with its encoder.
        views: the run's, or the user's own.

    Raises:
        UserError: when the classifier's own encoder is damaged.
    """
    tower, its_views = encoder_for(classifier.info["encoder"]["modality"], run.encoder, views)
    if classifier.is_fine_tuned:
        tower = copy.deepcopy(tower)
        classifier.load_encoder(tower)
    return tower.eval(), its_views


def same_data(learned: str | None, data: Any) -> bool:
    """Whether data is what the labelled samples were of, or holds them."""
    asked = reopenable(data)
    if learned is None or asked is None:
        return False
    (base, split), (other, part) = split_of(learned), split_of(asked)
    return base == other and (split == part or not split or not part)


def _places(classifier: Classifier) -> Iterator[Path]:
    reference = classifier.info["encoder"]
    if reference["relative"] is not None:
        yield (classifier.path / reference["relative"]).resolve()
    yield Path(reference["run"])


def _digest(run: Run) -> str | None:
    """That of a finished run; None of another."""
    return encoder_digest(run) if run.finished else None
