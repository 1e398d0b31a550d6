"""One sample, or two that are alike: maps, matches and how far the maps can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from torch import nn

from likewise.errors import UserError
from likewise.explanations.cascade import encoder_stages, stage_by_stage
from likewise.explanations.maps import WAYS, PartMap, PartMatches, part_maps, part_matches, rank_correlation, raw_map
from likewise.explanations.sample import ExplainedSample


class SampleExplanation(NamedTuple):
    """What of a sample counts for its similarity to another, or to itself."""

    sample: ExplainedSample
    maps: list[PartMap]
    """The exact one first, where there is one."""
    stages: list[str] | None = None
    """Of the encoder, in the order of use; None where it was not initialized stage by stage."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.sample.name,
            "modality": self.sample.modality,
            "stages": self.stages,
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
    cascade: bool = False,
    seed: int,
) -> ExplainedSimilarity:
    """Maps of one sample towards its own embedding, or of two towards each other's.

    Args:
        by: one of `WAYS`; if None, `occlusion` and `places`, or where these do not apply `gradients`.
        untrained: encoders with random weights, for the first sample and for the second.
        cascade: whether the stages of the encoder become untrained one after the other, not only all at once.

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
    maps = []
    for sample, target in zip(both, targets, strict=True):
        maps.append(part_maps(sample, target, ways, seed=seed))
        if not maps[-1]:
            raise _refused(sample, by)
    alike = [_correlations(maps, both, encoders, cascade=cascade) for encoders in untrained]
    explained = []
    for place, sample in enumerate(both):
        compared = [
            _compared(each, [[step[place][way] for step in steps] for steps in alike], cascade=cascade)
            for way, each in enumerate(maps[place])
        ]
        stages = [stage.name for stage in encoder_stages(sample)] if cascade else None
        explained.append(SampleExplanation(sample, compared, stages))
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


def _correlations(
    maps: Sequence[Sequence[PartMap]],
    both: Sequence[ExplainedSample],
    encoders: tuple[nn.Module, nn.Module],
    *,
    cascade: bool,
) -> list[list[list[float | None]]]:
    """Of the maps of each sample with those of untrained encoders, in one step or, in a cascade, in several."""
    steps: Iterable[list[ExplainedSample]]
    if cascade:
        steps = stage_by_stage(both, encoders)
    else:
        steps = [[sample.before(encoder) for sample, encoder in zip(both, encoders, strict=False)]]
    return [
        [[_correlation(each, samples, place) for each in some] for place, some in enumerate(maps)] for samples in steps
    ]


def _correlation(trained: PartMap, samples: Sequence[ExplainedSample], place: int) -> float | None:
    """Of a map with that of the same sample before another encoder; None where that has none."""
    target = samples[len(samples) - 1 - place].embedding()
    values = raw_map(samples[place], target, trained.by)
    if values is None or len(values) != len(trained.values):
        return None
    return rank_correlation(trained.values, values)


def _compared(found: PartMap, alike: Sequence[Sequence[float | None]], *, cascade: bool) -> PartMap:
    """The map with its correlations, on average over untrained encoders, each of which has some of all steps."""
    known = [[value for value in step if value is not None] for step in zip(*alike, strict=True)]
    means = [fmean(step) if step else None for step in known]
    if not means:
        return found
    all_steps = [mean for mean in means if mean is not None]
    if not cascade or len(all_steps) < len(means):
        return found._replace(untrained=means[-1])
    itself = rank_correlation(found.values, found.values)
    return found._replace(untrained=means[-1], cascade=[itself, *all_steps])
