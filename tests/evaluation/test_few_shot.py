"""Few-shot accuracies of features that are known, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.data.arrays import ArraySource
from likewise.data.episodes import draw_episodes, members_of
from likewise.data.source import Source
from likewise.evaluation import few_shot
from likewise.evaluation.episode_classifiers import CLASSIFIERS
from likewise.evaluation.few_shot import EpisodeFeatures, EpisodeSettings, evaluate_few_shot, few_shot_table

LABELS = torch.arange(6).repeat_interleave(12)
SOURCE = ArraySource(np.zeros((72, 1, 4, 4), dtype=np.uint8), LABELS.numpy(), name="things", classes=list("abcdef"))
EPISODE = EpisodeSettings(way=3, shots=(1, 4), query=5, episodes=30)


def features(label: str, table: Float[Tensor, "n dim"], *, sparse: bool = False, trained: bool = False) -> Any:
    def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        return table[indices].to_sparse_coo() if sparse else table[indices]

    return EpisodeFeatures(label, featurize, trained)


def evaluated(*kinds: Any, reference: Source | None = None) -> dict[str, Any]:
    members = members_of(LABELS, None, least=9)[1]
    return evaluate_few_shot(kinds, SOURCE, members, EPISODE, reference=reference, batch_size=10)


def means(result: dict[str, Any], label: str) -> dict[tuple[str, int], float]:
    return {(row["classifier"], row["shot"]): row["mean"] for row in result["summary"] if row["features"] == label}


CLEAR = torch.eye(6)[LABELS] + 0.01 * torch.randn(72, 6, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(72, 6, generator=torch.Generator().manual_seed(1))


def test_clear_features_are_always_right_and_noise_is_chance() -> None:
    result = evaluated(features("clear", CLEAR, trained=True), features("noise", NOISE))
    assert set(means(result, "clear").values()) == {1.0}
    assert result["chance"] == 1 / 3
    for row in result["summary"]:
        if row["features"] == "noise":
            assert abs(row["mean"] - 1 / 3) < 0.1
            assert row["low"] < row["mean"] < row["high"]
    for row in result["differences"]:
        assert (row["features"], row["versus"]) == ("clear", "noise")
        noise = means(result, "noise")[row["classifier"], row["shot"]]
        assert row["mean"] == pytest.approx(1 - noise, abs=1e-6)
    assert len(result["differences"]) == len(CLASSIFIERS) * 2


def test_it_is_what_one_episode_after_the_other_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.eye(6)[LABELS] + 0.8 * NOISE
    result = evaluated(features("some", table), reference=SOURCE)
    centred = torch.nn.functional.normalize(table - table.mean(0), dim=1)
    members = members_of(LABELS, None, least=9)[1]
    drawn = draw_episodes(members, range(30), way=3, shot=4, query=5, seed=0)
    for (name, shot), mean in means(result, "some").items():
        right = []
        for support, query in zip(drawn.support, drawn.query, strict=True):
            found = CLASSIFIERS[name](centred[support[:, :shot]][None], centred[query.flatten()][None])
            right.append(float((found[0] == torch.arange(3).repeat_interleave(5)).float().mean()))
        assert mean == pytest.approx(np.mean(right), abs=0.01)
    monkeypatch.setattr(few_shot, "AT_ONCE", 1)
    assert means(evaluated(features("some", table), reference=SOURCE), "some") == pytest.approx(
        means(result, "some"), abs=0.01
    )


@pytest.mark.parametrize("reference", [None, SOURCE])
def test_sparse_features_are_as_dense_ones(reference: Source | None) -> None:
    table = (torch.eye(6)[LABELS] + 0.8 * NOISE).relu()
    result = evaluated(features("dense", table), features("sparse", table, sparse=True), reference=reference)
    assert means(result, "sparse") == pytest.approx(means(result, "dense"), abs=0.01)


def test_the_table_has_a_row_for_each_classifier_and_features() -> None:
    result = evaluated(features("clear", CLEAR, trained=True), features("noise", NOISE))
    table = few_shot_table(result, "things")
    assert table.title == "3-way accuracy on new classes of things"
    assert table.head == ["classifier", "features", "1-shot", "±", "4-shot", "±"]
    assert [row[:2] for row in table.rows] == [[name, kind] for name in CLASSIFIERS for kind in ("clear", "noise")]
    assert table.rows[0][2:] == [1.0, "0.0", 1.0, "0.0"]
    assert "30 episodes with 5 queries a class" in table.caption
    assert "chance 33.3 %" in table.caption
