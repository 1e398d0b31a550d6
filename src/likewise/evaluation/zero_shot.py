"""Classification without labels: the class whose name, in a sentence, is closest to the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.console import count_of
from likewise.errors import UserError
from likewise.evaluation.measures import class_accuracies, confusion_matrix
from likewise.runs.table import Table

TEMPLATES = ("{}", "a picture of a {}", "a drawing of a {}")


def prompts(name: str, templates: Sequence[str]) -> list[str]:
    """A class's name in each template, in the place of `{}`; underscores and hyphens become spaces.

    Raises:
        UserError: for a template without a place for the name.
    """
    for template in templates:
        if "{}" not in template:
            raise UserError(
                f"templates must have {{}} for the class name, got {template!r}: write 'a picture of a {{}}'"
            )
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return [template.replace("{}", words) for template in templates]


def class_embeddings(
    classes: Sequence[str],
    embed: Callable[[list[str]], Float[Tensor, "prompts d"]],
    templates: Sequence[str] = TEMPLATES,
) -> Float[Tensor, "classes d"]:
    """The mean of the unit embeddings of a class's prompts, for each class, of unit length (arXiv:2103.00020).

    Args:
        embed: texts -> embeddings; called once, with the prompts of all classes.

    Raises:
        UserError: for no template, or one without a place for the name.
    """
    if not templates:
        raise UserError("templates must be at least one, such as '{}', got none")
    texts = [text for name in classes for text in prompts(name, templates)]
    unit = F.normalize(embed(texts), dim=1).unflatten(0, (len(classes), len(templates)))
    return F.normalize(unit.mean(1), dim=1)


def zero_shot_classify(samples: Float[Tensor, "n d"], classes: Float[Tensor, "classes d"]) -> Int[Tensor, " n"]:
    """The class most similar to each sample, by cosine similarity."""
    return (samples @ F.normalize(classes, dim=1).T).argmax(1)


def zero_shot_table(
    predicted: Mapping[str, Int[Tensor, " n"]],
    labels: Int[Tensor, " n"],
    classes: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
) -> Table:
    """Accuracy and mean class accuracy of the predictions, beside chance and the most frequent class.

    Args:
        predicted: classes of the samples, by the encoder that made the embeddings.
        labels: positions in `classes`.
    """
    rows: list[list[str | float | None]] = []
    for name, classified in predicted.items():
        confusion = confusion_matrix(labels, classified, len(classes))
        known = [share for share in class_accuracies(confusion) if share is not None]
        rows.append([name, int(confusion.diagonal().sum()) / len(labels), sum(known) / len(known)])
    present = torch.bincount(labels)
    chance, one_class = 1 / len(classes), 1 / int((present > 0).sum())
    return Table(
        title="zero-shot classification by class names",
        caption=f"{count_of(len(labels), 'sample')} of {count_of(len(classes), 'class', 'classes')}; prompts: "
        + ", ".join(f"“{template.replace('{}', '…')}”" for template in templates),
        head=["encoder", "accuracy", "mean class accuracy"],
        units=["", "%", "%"],
        rows=[
            *rows,
            ["most frequent class", int(present.max()) / len(labels), one_class],
            ["chance", chance, chance],
        ],
    )
