"""Accuracy in few-shot episodes on frozen features, beside untrained and raw ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.data.episodes import Episodes, draw_episodes
from likewise.data.source import Source
from likewise.evaluation.adaptation import ADAPTED, AdaptedEncoder
from likewise.evaluation.episode_classifiers import CLASSIFIERS, settings
from likewise.evaluation.features import REFERENCE_SAMPLES, Featurizer, evenly_spaced, gather, rows
from likewise.evaluation.inputs import Progress
from likewise.evaluation.measures import CONFIDENCE, interval
from likewise.runs.table import Table

AT_ONCE = 2**23
"""Numbers of the features of some episodes, and of the similarities of their samples."""


class EpisodeSettings(NamedTuple):
    """What an episode is, and how many there are."""

    way: int
    shots: tuple[int, ...]
    query: int
    episodes: int
    seed: int = 0


class EpisodeFeatures(NamedTuple):
    """Features that episodes are classified by."""

    label: str
    """What people read."""
    featurize: Featurizer
    trained: bool = False
    """Whether they are of the encoder in question, which is compared with all others."""
    adapted: AdaptedEncoder | None = None
    """The encoder, where it is to learn in each episode too."""


def evaluate_few_shot(
    features: Sequence[EpisodeFeatures],
    source: Source,
    members: Sequence[Int[Tensor, " _"]],
    episode: EpisodeSettings,
    *,
    reference: Source | None,
    batch_size: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Accuracies in episodes, the same ones for all features, classifiers and numbers of shots.

    Features are centred on their mean over `reference`, and each is scaled to length 1 (arXiv:1911.04623).

    Args:
        features: those to compare.
        source: the samples.
        members: of each class, the indices of its samples; at least as many as an episode takes.
        episode: what an episode is. Those of fewer shots have the same query and the first support samples.
        reference: other samples of the kind, for the mean only; None: features are not centred.
        batch_size: samples that are encoded at once.
        progress: called with (samples encoded, of how many, what is being done).

    Returns:
        "summary": a row for each of the features, classifiers and shots, with the mean accuracy over episodes and its
        95 % interval; "differences": by how much the trained features are more accurate, episode by episode; where an
        encoder is adapted, "adaptation": the accuracy after each inner step; "way", "shots", "query", "episodes",
        "seed", "chance", "settings".
    """
    way, shots, query, episodes, seed = episode
    drawn = draw_episodes(members, range(episodes), way=way, shot=max(shots), query=query, seed=seed)
    used = torch.cat([drawn.support.flatten(), drawn.query.flatten()]).unique()
    known = torch.empty(0, dtype=torch.int64) if reference is None else evenly_spaced(len(reference), REFERENCE_SAMPLES)
    each = len(used) + len(known)
    accuracies: dict[tuple[str, str, int], Float[Tensor, " episodes"]] = {}
    adaptation: list[dict[str, Any]] = []
    for place, kind in enumerate(features):
        if progress is not None:
            progress(place * each, len(features) * each, f"few-shot: {kind.label.lower()}")
        table = gather(kind.featurize, source, used, batch_size=batch_size)
        mean = torch.zeros(table.shape[1])
        if reference is not None:
            mean = _mean(gather(kind.featurize, reference, known, batch_size=batch_size))
        for some, support, queries in _features_of(drawn, table, used, mean):
            for name, classify in CLASSIFIERS.items():
                for shot in shots:
                    right = classify(support[:, :, :shot], queries) == torch.arange(way).repeat_interleave(query)
                    key = kind.label, name, shot
                    accuracies.setdefault(key, torch.zeros(episodes))[some] = right.float().mean(1)
        if kind.adapted is None:
            continue
        for shot in shots:
            if progress is not None:
                what = f"few-shot: {kind.adapted.label.lower()}, {shot}-shot"
                progress((place + 1) * each, len(features) * each, what)
            by_step = kind.adapted.accuracies(source, drawn, shot=shot)
            accuracies[kind.adapted.label, ADAPTED, shot] = by_step[:, -1]
            measured = by_step[by_step.isfinite().all(1)]
            named = {"features": kind.adapted.label, "shot": shot}
            adaptation += [named | {"step": step} | _interval(column) for step, column in enumerate(measured.T)]
    if progress is not None:
        progress(len(features) * each, len(features) * each, "few-shot")
    ours = next((kind for kind in features if kind.trained), None)
    others = [kind for kind in features if ours is not None and not kind.trained]
    pairs = [(name, ours.label, kind.label) for kind in others for name in CLASSIFIERS if ours is not None]
    if ours is not None and ours.adapted is not None:
        pairs += [(ADAPTED, ours.adapted.label, kind.adapted.label) for kind in others if kind.adapted is not None]
    return {
        "way": way,
        "shots": list(shots),
        "query": query,
        "episodes": episodes,
        "seed": seed,
        "chance": 1 / way,
        "summary": [
            {"features": label, "classifier": name, "shot": shot, **_interval(found)}
            for (label, name, shot), found in accuracies.items()
        ],
        "differences": [
            {"features": one, "versus": other, "classifier": name, "shot": shot}
            | _interval(accuracies[one, name, shot] - accuracies[other, name, shot])
            for name, one, other in pairs
            for shot in shots
        ],
        **({"adaptation": adaptation} if adaptation else {}),
        "settings": {"confidence": CONFIDENCE, "centred": reference is not None, **settings()},
    }


def few_shot_table(result: dict[str, Any], test: str) -> Table:
    """The accuracies as a table: a row for each classifier and features, two columns for each number of shots."""
    cells = {(row["classifier"], row["features"], row["shot"]): row for row in result["summary"]}
    lines: list[list[str | float | None]] = []
    shown = dict.fromkeys((name, label) for name, label, _ in cells)
    for name, label in sorted(shown, key=lambda row: [*CLASSIFIERS, ADAPTED].index(row[0])):
        line: list[str | float | None] = [name, label]
        for shot in result["shots"]:
            row = cells[name, label, shot]
            line += [row["mean"], None if row["high"] is None else f"{100 * (row['high'] - row['mean']):.1f}"]
        lines.append(line)
    head = [column for shot in result["shots"] for column in (f"{shot}-shot", "±")]
    caption = (
        f"mean ± half its 95 % interval over {result['episodes']:,} episodes with {result['query']} queries a class; "
        f"all rows have the same episodes; chance {100 * result['chance']:.1f} %"
    )
    return Table(
        f"{result['way']}-way accuracy on new classes of {test}",
        caption,
        ["classifier", "features", *head],
        ["", "", *["%", ""] * len(result["shots"])],
        lines,
    )


def _mean(features: Float[Tensor, "n dim"]) -> Float[Tensor, " dim"]:
    return features.sum(0).to_dense() / len(features) if features.is_sparse else features.mean(0)


def _features_of(
    drawn: Episodes, table: Float[Tensor, "n dim"], used: Int[Tensor, " n"], mean: Float[Tensor, " dim"]
) -> Iterator[tuple[slice, Float[Tensor, "e way shot dim"], Float[Tensor, "e queries dim"]]]:
    """The episodes, as many at once as are small in memory, with their features centred and of length 1."""
    samples = torch.cat([drawn.support.flatten(1), drawn.query.flatten(1)], dim=1)
    places = torch.searchsorted(used, samples)
    step = max(1, AT_ONCE // (places.shape[1] * max(places.shape[1], len(mean))))
    for begin in range(0, len(places), step):
        some = slice(begin, min(begin + step, len(places)))
        found = rows(table, places[some].flatten())
        dense = found.to_dense() if found.is_sparse else found
        unit = F.normalize(dense - mean, dim=1).unflatten(0, (-1, places.shape[1]))
        support = drawn.support[some]
        parts = unit.split([support[0].numel(), places.shape[1] - support[0].numel()], dim=1)
        yield some, parts[0].unflatten(1, support.shape[1:]), parts[1]


def _interval(values: Float[Tensor, " episodes"]) -> dict[str, float | None]:
    mean, low, high = interval(values.double().tolist())
    return {"mean": mean, "low": low, "high": high}
