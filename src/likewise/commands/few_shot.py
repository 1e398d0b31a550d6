"""Few-shot episodes for `likewise evaluate`: what is asked for, on which classes, and the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_type_hints

import torch
from torch import nn

from likewise.checks import check_int, check_types
from likewise.commands.option_names import flag
from likewise.commands.options import open_training_data, read_options_for, split_of
from likewise.console import count_of
from likewise.data.class_splits import BASE, NOVEL
from likewise.data.copies import copies_between, copies_note, copies_summary, copy_groups
from likewise.data.episodes import check_episodes, members_of
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source, connected_groups
from likewise.errors import UserError, nearest
from likewise.evaluation.adaptation import AdaptationSettings, AdaptedEncoder
from likewise.evaluation.features import RawFeatures, encoder_features, raw_features
from likewise.evaluation.few_shot import EpisodeFeatures, EpisodeSettings, evaluate_few_shot, few_shot_table
from likewise.evaluation.inputs import ComputeSettings, Progress
from likewise.evaluation.protocols import PROTOCOLS
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.methods import METHODS, method_options
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.modalities.weights import initial_encoder
from likewise.modules.inner_loop import check_inner_loop
from likewise.registry import MODALITIES

FEW_SHOT = "few-shot"
"""What `--protocols` calls it."""
WAY, SHOTS, QUERY, EPISODES = 5, (1, 5), 15, 600
"""As most papers have it."""
ADAPTS = {"frozen": "Adapted encoder", "untrained": "Untrained encoder", "as-given": "Weights as given"}
"""What an encoder is called where it learns in each episode."""
MOST_EPISODES = 100_000
MOST_SAMPLES = 2_000
"""Of an episode: label propagation compares all of them."""


class NovelData(NamedTuple):
    """The samples of the episodes, and those that the encoder has learned from."""

    source: Source
    learned: Source | None
    members: list[torch.Tensor]
    classes: list[str]
    notes: list[str]
    result: dict[str, Any]


def episode_settings(
    protocols: Sequence[str] | None, given: dict[str, Any], needless: dict[str, Any]
) -> EpisodeSettings | None:
    """What an episode is; None where no episodes are asked for.

    Args:
        protocols: that are asked for.
        given: way, shot, query and episodes, None where not given.
        needless: values of options that episodes have no use for, by name; those that are None are not given.

    Raises:
        UserError: for an impossible value, or one without a use.
    """
    if protocols is None or FEW_SHOT not in protocols:
        for name in protocols or ():
            if name not in PROTOCOLS and FEW_SHOT in nearest(name, [*PROTOCOLS, FEW_SHOT]):
                raise UserError(f"protocols must be known ones, got {name!r}, did you mean '{FEW_SHOT}'?")
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{flag(name)} applies to --protocols {FEW_SHOT}: name it, or leave {flag(name)} out")
        return None
    if others := [name for name in protocols if name != FEW_SHOT]:
        raise UserError(
            f"protocols must be {FEW_SHOT} alone or others, got {FEW_SHOT} and {others[0]}: {FEW_SHOT} episodes are of "
            "classes that the encoder has not learned from"
        )
    for name, value in needless.items():
        if value is not None:
            raise UserError(f"{flag(name)} has no effect with --protocols {FEW_SHOT}: leave it out")
    way, query, episodes = (
        default if given[name] is None else given[name]
        for name, default in (("way", WAY), ("query", QUERY), ("episodes", EPISODES))
    )
    shots = tuple(dict.fromkeys(SHOTS if given["shot"] is None else given["shot"]))
    if not shots:
        raise UserError("shot must be one number or more, got none")
    check_int(2, MOST_SAMPLES, way=way)
    for shot in shots:
        check_int(1, MOST_SAMPLES, shot=shot)
    check_int(1, MOST_SAMPLES, query=query)
    check_int(1, MOST_EPISODES, episodes=episodes)
    size = way * (max(shots) + query)
    if size > MOST_SAMPLES:
        raise UserError(f"way x (shot + query) must be at most {MOST_SAMPLES:,} samples, got {size:,}")
    return EpisodeSettings(way, tuple(sorted(shots)), query, episodes)


def open_novel(
    run: Run, test: Any, episode: EpisodeSettings, asked: ReadOptions, *, root: Any, progress: bool
) -> NovelData:
    """The samples of the episodes: of the run's own data the part that it has not learned from, if no other is named.

    Args:
        test: labelled data, or None.
        asked: how it is to be read, where that is another way than the run's.
        root: the folder with the files of a named data set.

    Raises:
        UserError: for data without labels, with classes of the training, or too few of them for an episode.
    """
    test = novel_part(run) if test is None else test
    source = open_source(test, root=root, read_options=read_options_for(run, asked, test), progress=progress)
    if source.modality == "pair":
        raise UserError(f"--protocols {FEW_SHOT} applies to samples with labels, but {source.name} is pairs")
    labels = source.labels()
    learned = open_training_data(run, root, progress)
    known = class_names(learned)
    names = [source.classes[label] for label in labels.unique().tolist() if label >= 0]
    if both := [name for name in names if name in known]:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        raise UserError(
            f"test must have no class of the training data, got '{both[0]}'{more} in {source.name}: pretrain on "
            f"DATA:{BASE} and name DATA:{NOVEL} with --test"
        )
    copies = copy_groups(source).groups
    groups = copies if source.groups is None else connected_groups(copies.tolist(), source.groups.tolist())
    way, shot, query = episode.way, max(episode.shots), episode.query
    check_episodes(labels, groups, way=way, shot=shot, query=query, name=source.name)
    kept, members = members_of(labels, groups, least=shot + query)
    notes = [*_left_out(source, labels, groups, kept, members)]
    result: dict[str, Any] = {}
    found = [] if learned is None else copies_between(learned, source)
    if found and learned is not None:
        result["copies"] = copies_summary(found)
        notes += copies_note(found, learned, source)
    same = learned if learned is not None and learned.modality == source.modality else None
    return NovelData(source, same, members, [source.classes[label] for label in kept], notes, result)


def novel_part(run: Run) -> str:
    """The classes of a run's own data that it has not learned from.

    Raises:
        UserError: where it has learned from all of them, or nobody knows.
    """
    data = run.config["data"]
    base, split = ("", "") if data is None else split_of(data)
    if split != BASE:
        raise UserError(
            f"few-shot episodes need classes that the encoder has not learned from: name labelled data with --test, or "
            f"pretrain on DATA:{BASE}, the half of its classes"
        )
    return f"{base}:{NOVEL}"


def class_names(source: Source | None) -> set[str]:
    """The classes of which a source has samples, as far as it has labels."""
    if source is None:
        return set()
    try:
        labels = source.labels()
    except UserError:
        return set()
    return {source.classes[label] for label in labels.unique().tolist() if label >= 0}


def adaptation_settings(run: Run) -> AdaptationSettings | None:
    """The inner loop of the method that trained the run; None where it has none."""
    recipe = run.config["recipe"]
    options = method_options(recipe["method"]) if recipe["method"] in METHODS else {}
    if "inner_steps" not in options:
        return None
    kinds = get_type_hints(AdaptationSettings)
    settings = check_types({name: (options | recipe["options"])[name] for name in kinds}, kinds)
    check_inner_loop(**settings)
    return AdaptationSettings(**settings)


def _left_out(
    source: Source, labels: torch.Tensor, groups: torch.Tensor, kept: list[int], members: list[torch.Tensor]
) -> list[str]:
    """Which samples and classes are in no episode."""
    notes = []
    if unlabelled := int((labels < 0).sum()):
        notes.append(f"{unlabelled:,} of {count_of(len(labels), 'sample')} of {source.name} have no label: left out.")
    classes, all_members = members_of(labels, groups, least=1)
    again = int((labels >= 0).sum()) - sum(map(len, all_members))
    if again:
        notes.append(f"{again:,} samples are copies or pieces of others of {source.name}: left out.")
    if few := [source.classes[label] for label in classes if label not in kept]:
        named = ", ".join(few[:5]) + (" …" if len(few) > 5 else "")
        notes.append(f"{count_of(len(few), 'class', 'classes')} with too few samples for an episode left out: {named}.")
    return notes


def few_shot_result(
    run: Run,
    network: nn.Module,
    views: Any,
    make_encoder: Callable[[], nn.Module] | None,
    data: NovelData,
    episode: EpisodeSettings,
    compute: ComputeSettings,
    progress: Progress,
) -> dict[str, Any]:
    """The contents of `evaluation.json`, but for "command" and "skipped"."""
    source = data.source
    tower, its_views = encoder_for(source.modality, network, views)
    tower = compute.place(tower).eval()
    given = initial_encoder(run)
    with seeded(trial_seed(episode.seed, "untrained", 0), compute.device):
        untrained = reinitialize(tower) if make_encoder is None else make_encoder()
    kinds = {"frozen": tower, "untrained": encoder_for(source.modality, untrained, views)[0]}
    if given is not None:
        kinds["as-given"] = encoder_for(source.modality, given, views)[0]
    inner_loop = adaptation_settings(run)
    features = [
        EpisodeFeatures(
            PROTOCOLS[name].label,
            encoder_features(compute.place(encoder).eval(), its_views, compute),
            trained=name == "frozen",
            adapted=None
            if inner_loop is None
            else AdaptedEncoder(ADAPTS[name], encoder, its_views, inner_loop, compute),
        )
        for name, encoder in kinds.items()
    ]
    raw = RawFeatures("raw views", raw_features(its_views, compute))
    if source.modality in MODALITIES:
        raw = modality_of(source.modality).baseline(its_views, compute, data.learned or source)
    features.append(EpisodeFeatures(raw.name, raw.featurize))
    found = evaluate_few_shot(
        features,
        source,
        data.members,
        episode,
        reference=data.learned,
        batch_size=compute.batch_size,
        progress=progress,
    )
    classifiers = list(dict.fromkeys(row["classifier"] for row in found["summary"]))
    result = {
        "test": source.name,
        "samples": {"test": len(source)},
        "few_shot": {"classes": data.classes, "classifiers": classifiers, **found},
        "tables": [few_shot_table(found, source.name).as_dict()],
        **data.result,
    }
    return result | ({"notes": data.notes} if data.notes else {})
