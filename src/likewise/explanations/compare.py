"""One sample, or two that are alike: maps, matches and how far the maps can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from torch import nn

from likewise.errors import UserError
from likewise.explanations.maps import WAYS, PartMap, PartMatches, part_maps, part_matches, rank_correlation, raw_map
from likewise.explanations.sample import ExplainedSample


class SampleExplanation(NamedTuple):
    """What of a sample counts for its similarity to another, or to itself."""

    sample: ExplainedSample
    maps: list[PartMap]
    """The exact one first, where there is one."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.sample.name,
            "modality": self.sample.modality,
            "maps": [each.to_json() for each in self.maps],
        }


class ExplainedSimilarity(NamedTuple):
    """Why two samples are as alike as they are; or, of one, what its embedding rests on."""

    samples: list[SampleExplanation]
    similarity: float | None
    """Cosine of two embeddings; None of one sample."""
    matches: list[PartMatches]
    """Of two samples, one for each way; the exact one first, where there is one."""


def compare_samples(
    first: ExplainedSample,
    second: ExplainedSample | None,
    *,
    by: str | None,
    untrained: Sequence[tuple[nn.Module, nn.Module]],
    seed: int,
) -> ExplainedSimilarity:
    """Maps of one sample towards its own embedding, or of two towards each other's.

    Args:
        by: one of `WAYS`; if None, `occlusion` and `places`, or where these do not apply `gradients`.
        untrained: encoders with random weights, for the first sample and for the second.

    Raises:
        UserError: for `places` with an encoder whose embedding is not the mean of its places, or `gradients` where
            there are none.
    """
    both = [first] if second is None else [first, second]
    exact = all(sample.places() is not None for sample in both)
    usual = [way for way in WAYS if way != "gradients" or not exact]
    ways = usual if by is None else [by]
    if by == "places" and not exact:
        raise _refused(next(sample for sample in both if sample.places() is None), by)
    targets = [sample.embedding() for sample in both][::-1]
    explained = []
    for place, (sample, target) in enumerate(zip(both, targets, strict=True)):
        others = [_before(both, encoders) for encoders in untrained]
        maps = [
            each._replace(untrained=_correlation(each, others, place))
            for each in part_maps(sample, target, ways, seed=seed)
        ]
        if not maps:
            raise _refused(sample, by)
        explained.append(SampleExplanation(sample, maps))
    if second is None:
        return ExplainedSimilarity(explained, None, [])
    matches = [found for by in ways if (found := part_matches(first, second, by)) is not None]
    return ExplainedSimilarity(explained, float(targets[0] @ targets[1]), matches)


def _refused(sample: ExplainedSample, by: str | None) -> UserError:
    """What to say of a sample that can't be explained so."""
    name = (getattr(sample.encoder, "config", None) or {}).get("name", type(sample.encoder).__name__)
    if by == "places":
        ways, why = "gradients or occlusion", "whose embedding is not the mean of its places"
    elif sample.modality == "audio":
        ways, why = "places or occlusion", "which hears of a recording that is faded in nothing but its loudness"
    else:
        ways, why = "occlusion", "whose embedding has no gradient"
    return UserError(f"by must be {ways} with the encoder {name}, {why}, got {by!r}")


def _before(both: Sequence[ExplainedSample], encoders: tuple[nn.Module, nn.Module]) -> list[ExplainedSample]:
    return [sample.before(encoder) for sample, encoder in zip(both, encoders, strict=False)]


def _correlation(trained: PartMap, others: Sequence[list[ExplainedSample]], place: int) -> float | None:
    """Of a map with those of untrained encoders, on average; None without any."""
    found = []
    for samples in others:
        target = samples[len(samples) - 1 - place].embedding()
        values = raw_map(samples[place], target, trained.by)
        if values is not None and len(values) == len(trained.values):
            found.append(rank_correlation(trained.values, values))
    return fmean(found) if found else None
