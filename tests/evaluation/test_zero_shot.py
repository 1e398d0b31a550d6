from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.evaluation.zero_shot import TEMPLATES, class_embeddings, prompts, zero_shot_classify, zero_shot_table


def test_names_are_read_as_words() -> None:
    assert prompts("red_panda-bear", TEMPLATES) == [
        "red panda bear",
        "a picture of a red panda bear",
        "a drawing of a red panda bear",
    ]
    assert prompts("{}_", ("is {}?",)) == ["is {}?"]


def counted(texts: list[str]) -> Tensor:
    """How often each letter occurs, long texts far from the origin."""
    return torch.tensor([[float(text.count(letter)) + 0.1 for letter in "abcdefghi"] for text in texts])


def test_a_class_is_the_mean_direction_of_its_prompts() -> None:
    asked = []

    def embed(texts: list[str]) -> Tensor:
        asked.append(texts)
        return counted(texts)

    classes = class_embeddings(["cab", "hide-bag"], embed)
    assert asked == [[*prompts("cab", TEMPLATES), *prompts("hide-bag", TEMPLATES)]]
    for name, found in zip(["cab", "hide bag"], classes, strict=True):
        units = [row / row.norm() for row in counted([t.format(name) for t in TEMPLATES])]
        mean = sum(units) / 3
        torch.testing.assert_close(found, mean / mean.norm())


def test_the_nearest_class_by_angle_is_chosen() -> None:
    classes = torch.tensor([[10.0, 0.0], [0.1, 0.1], [0.0, 3.0]])
    samples = torch.tensor([[5.0, 1.0], [1.0, 1.2], [-1.0, 9.0], [100.0, 90.0]])
    naive = [max(range(3), key=lambda c: float(F.cosine_similarity(s, classes[c], dim=0))) for s in samples]
    assert zero_shot_classify(samples, classes).tolist() == naive == [0, 1, 2, 1]


def test_the_table_stands_beside_chance_and_the_most_frequent_class() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    table = zero_shot_table({"trained": torch.tensor([0, 0, 1, 2]), "untrained": torch.zeros(4).long()}, labels, "abcd")
    assert table.rows == [
        ["trained", 0.75, pytest.approx((2 / 3 + 1) / 2)],
        ["untrained", 0.75, 0.5],
        ["most frequent class", 0.75, 0.5],
        ["chance", 0.25, 0.25],
    ]
    assert table.caption == ("4 samples of 4 classes; prompts: “…”, “a picture of a …”, “a drawing of a …”")
    assert len(table.head) == len(table.units) == 3


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ((), "templates must be at least one, such as '{}', got none"),
        (
            ("{}", "a photo"),
            "templates must have {} for the class name, got 'a photo': write 'a picture of a {}'",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(templates: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as caught:
        class_embeddings(["cab"], counted, templates)
    assert str(caught.value) == message
