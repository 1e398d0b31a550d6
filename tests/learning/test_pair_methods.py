"""Methods on pairs really learn: which digit a picture shows, from what is said about others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import likewise as lw
from likewise.data.source import Source, Subset
from small_data import digits_and_names


@pytest.fixture(scope="module")
def halves() -> tuple[Source, Source]:
    """Pairs to learn from, and others."""
    pairs = digits_and_names(1000)
    return Subset(pairs, pairs.indices[:800]), Subset(pairs, pairs.indices[800:])


def found(run: lw.Run, test: Source) -> dict[tuple[str, str], float]:
    """Recall at 1 by way and by what made the embeddings: one of the ten names is right."""
    [table] = lw.evaluate(run, test=test, progress=False)["tables"]
    place = table["head"].index("recall@1")
    return {(row[0], row[1]): row[place] for row in table["rows"]}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["clip", "siglip", "slip"])
def test_pictures_find_what_is_said_of_them(method: str, halves: tuple[Source, Source], tmp_path: Path) -> None:
    shape: dict[str, Any] = {"max_tokens": 16, "vocab_size": 200, "precision": "32-true", "progress": False}
    run = lw.pretrain(halves[0], method=method, epochs=12, out=tmp_path / "run", **shape)
    recall = found(run, halves[1])
    for protocol in ("image → text", "text → image"):
        assert recall[protocol, "encoder"] > 0.7
        assert recall[protocol, "encoder"] > recall[protocol, "untrained"] + 0.4
        assert recall[protocol, "chance"] < 0.15


@pytest.mark.slow
def test_pairs_that_were_shuffled_teach_nothing(halves: tuple[Source, Source], tmp_path: Path) -> None:
    """The test would notice an objective that does not say which halves belong together."""
    from likewise.data.pairs import PairSource

    pictures, words = halves[0].parts
    wrong = PairSource([pictures, Subset(words, (pictures.indices + 1) % len(words))], ["image", "text"], name="wrong")
    run = lw.pretrain(
        wrong, method="clip", epochs=12, out=tmp_path / "run", progress=False, max_tokens=16, vocab_size=200
    )
    recall = found(run, halves[1])
    assert recall["image → text", "encoder"] < 0.4
