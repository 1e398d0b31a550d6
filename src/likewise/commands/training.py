"""A pretraining from its plan to its run: build the method, begin or resume the run, train, keep what is learned."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from likewise import __version__
from likewise.atomic import disk_trouble, write_text
from likewise.commands.arguments import skipped_note
from likewise.console import tell
from likewise.data.loader import Loader, order
from likewise.data.open import open_source, pairs_or_halves
from likewise.encoders import adopt
from likewise.errors import Interrupted, UserError
from likewise.evaluation import ComputeSettings, encode
from likewise.evaluation.knn import NEIGHBORS, nearest_neighbors, vote
from likewise.methods import build_method, method_options
from likewise.modalities import modality_of, prepare, tower_of
from likewise.modalities.run import Run
from likewise.runs.chance import ChanceLevels
from likewise.runs.gallery import Gallery
from likewise.runs.samples import clean_samples
from likewise.runs.skipped import Skipped
from likewise.training.callbacks.checkpoints import newest
from likewise.training.callbacks.diagnostics import matching_chance
from likewise.training.callbacks.snapshots import PAIRS
from likewise.training.figures import figures_of
from likewise.training.fit import fit, training_context_of
from likewise.training.machine import device_name, fastest_precision, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from likewise.data.read_options import ReadOptions
    from likewise.data.source import Source
    from likewise.methods.base import Method, Views
    from likewise.training.recipe import Recipe

GALLERY = 1000  # samples kept in a run for its map and neighbours
PROBED = 2000  # labelled samples that are asked each epoch


class Hardware(NamedTuple):
    """What Lightning is told about the machine; `auto` leaves the choice to measuring, or to Lightning."""

    devices: str
    precision: str
    strategy: str


def pretrain_encoder(
    source: Source,
    plan: Recipe,
    folder: Path,
    *,
    data: str | None,
    root: str | None,
    read_options: ReadOptions,
    command: str,
    encoder: Any,
    views: Views | None,
    seed: int,
    hardware: Hardware,
    resume: bool,
    checkpoint_minutes: float,
    probe: Any,
    probe_again: str | None,
    progress: bool,
) -> Run:
    """Train as `plan` says and leave a run in `folder`; see `likewise.pretrain`.

    Args:
        data: how to open the source again, None when it is in memory only.
        read_options: what was said about how its files become samples.
        command: the command line that asks for this, without the precision that is chosen here.
        probe: labelled data that the encoder is asked about each epoch.
        probe_again: how to open it again, None when it is in memory only.
    """
    if len(source) < PAIRS:
        raise UserError(f"{source.name} has {len(source)} samples: training needs at least {PAIRS}, better hundreds")
    helper = is_helper_process()
    progress = progress and not helper
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        begun_in = folder if resume or helper else None
        plan, source, learner, own = _learner(source, plan, encoder, views, begun_in)
        views_config, files = (None, {}) if own["views"] else modality_of(source.modality).pack(learner.views)
        context = training_context_of(learner, source, plan, seed=seed)
        config = {
            "likewise": __version__,
            "data": data,
            "source": {"name": source.name, "samples": len(source), "modality": source.modality, "root": root},
            "read_options": dataclasses.asdict(read_options),
            "recipe": plan.to_dict(),
            "probe": probe_again,
            "method": {
                "name": plan.method,
                "family": learner.family,
                "paper": learner.paper,
                "supervised": learner.supervised,
            },
            "encoder": None if own["encoder"] else getattr(learner.encoder, "config", None),
            "views": views_config,
            "seed": seed,
        }
        if getattr(source, "lengths", None) is not None:
            config["padding"] = round(Loader(source, batch_size=context.batch_size, epochs=1, seed=seed).padding(), 4)
        learner.prepare(context)  # a queue's length, and so its chance level, depends on how many samples there are
        chance = matching_chance(context.batch_size, cross_modal=learner.cross_modal) | learner.chance(
            context.batch_size
        )
        accuracy = None
        if probe is not None:
            like = (
                read_options
                if own["views"]
                else read_options.with_(**modality_of(source.modality).read_options(learner.views))
            )
            labelled = open_source(probe, root=root, read_options=pairs_or_halves(like, probe), progress=progress)
            accuracy, chance["probe"] = neighbours_probe(labelled, learner.views)
        run = _resumed(folder, config, hardware) if resume or helper else None
        begun = run is None
        if run is None:
            precision = hardware.precision
            if precision == "auto":
                precision = fastest_precision(learner, context)
                command += f" --precision {precision}"
            now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            hardware = hardware._replace(precision=precision)
            run = Run.create(folder, config | {"command": command, "created": now} | hardware._asdict())
            for name, text in files.items():
                write_text(run.path / name, text)
        elif run.finished and not helper:
            run.load_encoder(learner.encoder)
            run.keep(learner.encoder, learner.views)
            return run
        if not helper:
            _describe(run, chance, source, plan)
        tell(f"{source.name}: {len(source):,} samples{skipped_note(source.skipped)}", show=progress)
        tell(f"{plan.method}, {plan.encoder}, {run.config['precision']} -> {run.path}", show=progress)
        tell(f"views: {learner.views}", show=progress)
        if "padding" in config:
            tell(f"padding: {config['padding']:.1%} of the batches", show=progress)
        try:
            fitted = fit(
                learner,
                source,
                plan,
                run.path,
                seed=seed,
                precision=run.config["precision"],
                devices=run.config["devices"],
                strategy=run.config["strategy"],
                resume=resume,
                checkpoint_minutes=checkpoint_minutes,
                chance=chance,
                probe=accuracy,
                progress=progress,
            )
            if helper:
                raise SystemExit(0)  # the first process has the last word
            if fitted.interrupted:
                where = f"stopped at step {fitted.step} of {fitted.steps}"
                raise Interrupted(f"{where}; to go on: {run.config['command']} --resume")
            speed = {"seconds": round(fitted.seconds, 1), "samples_per_second": round(fitted.samples_per_second, 1)}
            run.config |= speed
            run.config.save(run.path)
            save_gallery(run, learner.encoder, source, learner.views, labelled=False)
            if figures := figures_of(learner, source.read(order(len(source), seed=seed, epoch=plan.epochs)[:PAIRS])):
                figures.save(run.path)
            run.save(learner.encoder, learner.views)
        except UserError:
            if begun and not run.history.rows:
                shutil.rmtree(run.path)  # nothing was trained: the corrected command shall find the place free
            raise
        except OSError as error:
            if reason := disk_trouble(error):
                last = newest(run.path / "checkpoints")
                kept = f"the last good checkpoint stays: {last}" if last else "there is no checkpoint yet"
                raise UserError(f"could not write into {run.path}: {reason}; {kept}; mend it, then --resume") from error
            raise
    return run


def is_helper_process() -> bool:
    """Whether Lightning started this process to be one more rank of a training that another process began."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def _learner(
    source: Source, plan: Recipe, encoder: Any, views: Any, kept: Path | None
) -> tuple[Recipe, Source, Method, dict[str, bool]]:
    """The recipe with what the samples decided, the samples, the method, and what of it is the user's own."""
    own = {"encoder": isinstance(encoder, nn.Module), "views": views is not None}
    if not all(own.values()):
        plan, source, usual_views, build = prepare(source, plan, accelerated=device_name() != "cpu", kept=kept)
        views = views if own["views"] else usual_views
        encoder = encoder if own["encoder"] else build()
    if own["encoder"]:
        plan = dataclasses.replace(plan, encoder=type(encoder).__name__)
    options = method_options(plan.method) | plan.options
    plan = dataclasses.replace(plan, batch_size=plan.batch_size or min(256, len(source)), options=options)
    encoder = adopted(encoder, views, source)
    learner = build_method(plan.method, lay_out(encoder), plan.options)
    learner.views = views
    return plan, source, learner, own


def adopted(encoder: nn.Module, views: Views, source: Source) -> nn.Module:
    """The module as an encoder of these samples: see `likewise.encoders.adopt`."""
    view: Any = views.clean(source.read(torch.arange(2)))
    one_for_all = hasattr(view, "parts") and not hasattr(encoder, "towers")
    return adopt(encoder, view.parts[0] if one_for_all else view)


def _resumed(folder: Path, config: dict[str, Any], hardware: Hardware) -> Run | None:
    """The run to go on with, if it was begun with the same configuration; None when nothing was begun."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    run = Run.open(folder)

    def flat(config: dict[str, Any]) -> dict[str, Any]:
        recipe = dict(config["recipe"])
        read = {
            name: list(value) if isinstance(value, tuple) else value for name, value in config["read_options"].items()
        }
        whole = {"samples": config["source"]["samples"], "seed": config["seed"]}
        return {**read, **whole, **recipe.pop("options"), **recipe}

    asked, begun = flat(config), flat(run.config)
    if config["data"] and run.config["data"]:
        asked["data"], begun["data"] = config["data"], run.config["data"]
    if hardware.precision != "auto":
        asked["precision"], begun["precision"] = hardware.precision, run.config["precision"]
    for key in asked:
        if asked[key] != begun.get(key):
            raise UserError(
                f"{folder} was begun with {key} {begun.get(key)!r}, not {asked[key]!r}: "
                f"resume it as it was (`{run.config['command']} --resume`), or name another folder with --out"
            )
    return run


def neighbours_probe(source: Source, views: Views) -> tuple[Callable[[Method], float], float]:
    """Leave-one-out accuracy of 20 nearest neighbours, weighted, on at most 2,000 samples; and its chance level.

    Chance is the share of the most frequent class.

    Raises:
        UserError: for data without labels.
    """
    labels = source.labels()
    chosen = order(len(source), seed=0, epoch=0)[:PROBED]
    some, classes = labels[chosen], len(source.classes)
    if len(chosen) < 2:
        raise UserError(f"probe needs at least 2 samples, {source.name} has {len(source)}")
    neighbours = min(NEIGHBORS[-1], len(chosen) - 1)

    def accuracy(method: Method) -> float:
        encoder, its_views = tower_of(method.encoder, views, source.modality)
        features = encode(encoder, its_views, source, chosen, compute=ComputeSettings(method.device, 256))
        similarities, positions = nearest_neighbors(features, features, neighbours, exclude_self=True)
        return float((vote(similarities, some[positions], classes) == some).float().mean())

    return accuracy, float(some.bincount().max()) / len(some)


def _describe(run: Run, chance: dict[str, float], source: Source, plan: Recipe) -> None:
    """Keep what a person or a program may want beside the weights: chance levels, skipped files, the recipe."""
    import yaml

    ChanceLevels(chance).save(run.path)
    write_text(run.path / "recipe.yaml", yaml.safe_dump(plan.to_dict(), sort_keys=False))
    Skipped(source.skipped).save(run.path)


def save_gallery(run: Run, encoder: nn.Module, source: Source, views: Views, *, labelled: bool) -> None:
    """Keep samples with their embeddings in the run, for its map and its neighbours."""
    tower, its_views = tower_of(encoder, views, source.modality)
    indices = torch.linspace(0, len(source) - 1, min(GALLERY, len(source))).round().long()
    vectors = encode(tower.cpu(), its_views, source, indices, compute=ComputeSettings(torch.device("cpu")))
    shown = views if source.modality == "pair" else its_views
    ids = source.ids
    Gallery(
        samples=clean_samples(shown, (source.read(part) for part in indices.split(256))),
        embeddings=vectors.numpy(),
        ids=[ids[i] for i in indices.tolist()],
        labels=source.labels()[indices].numpy() if labelled else None,
        classes=source.classes if labelled else [],
    ).save(run.path)
