"""The public functions. The commands are these same functions: name, parameters, defaults and help are written here."""

from __future__ import annotations

import datetime
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from likewise.errors import Interrupted, UserError, nearest
from likewise.run import Evaluation, Run

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.source import Source
    from likewise.methods.base import Method, Views
    from likewise.training.recipe import Recipe

FromPython = Annotated[Any, Parameter(parse=False)]  # an argument that no command line can hold

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
LABELS_PER_CLASS: tuple[int | Literal["all"], ...] = (1, 10, 100, "all")
GALLERY = 1000  # samples kept in a run for its map and neighbours
SMALLEST = 8  # samples: the pairs whose similarities are watched


def pretrain(
    data: Any,
    *,
    method: str | None = None,
    recipe: str | None = None,
    encoder: Any = None,
    epochs: int | None = None,
    batch: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    augment: Any = None,
    views: FromPython = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    root: str | Path | None = None,
    devices: str = "auto",
    precision: str = "auto",
    strategy: str = "auto",
    checkpoint_minutes: float = 5.0,
    progress: bool = True,
    **hyperparameters: Any,
) -> Run:
    """Train an encoder on unlabelled data.

    Args:
        data: a folder of images, a .npy or .npz file, the name of a data set (digits, mnist, fashion-mnist, cifar10,
            cifar100, stl10), each with `:split` if wanted; from Python also an array, a tensor, a torch Dataset or a
            Hugging Face Dataset.
        method: see `likewise methods`.
        recipe: the name of a recipe (stl10-simclr) or a YAML file; what is given besides it overrides it.
        encoder: resnet8, resnet18, resnet34, resnet50, vit_tiny, vit_small or timm:NAME; from Python also a module.
        epochs: passes over the data.
        batch: samples a step.
        size: height and width of the images in pixels; their own if not given.
        channels: 1 (grey) or 3; their own if not given.
        augment: strong, mild or none; from Python or a recipe also a list of operations.
        views: how views are made, from Python, for samples of your own kind.
        seed: of every random choice.
        out: the run folder; runs/DATA-METHOD if not given.
        resume: go on with an interrupted training of the same run folder.
        root: where the files of a named data set lie.
        devices: how many, or auto (passed to Lightning).
        precision: 32-true, bf16-mixed …, or auto: what is faster here, by measuring.
        strategy: ddp, fsdp … (passed to Lightning).
        checkpoint_minutes: time between checkpoints.
        progress: show progress on stderr.
        hyperparameters: any other value of the recipe or the method, such as --rate 0.001 --temperature 0.2.

    Returns:
        The run: its folder holds the encoder, the metrics, the checkpoints and the configuration.

    Raises:
        UserError: for what you can mend; the message says how.
    """
    import torch

    from likewise.atomic import write_json
    from likewise.data import open_source, splits
    from likewise.training.fit import check_batch, fit
    from likewise.training.machine import fastest_precision

    if precision not in PRECISIONS:
        raise UserError(f"precision must be {', '.join(PRECISIONS)}, got {precision!r}{nearest(precision, PRECISIONS)}")
    if not (devices == "auto" or (devices.isdigit() and int(devices) > 0)):
        raise UserError(f"devices must be a whole number or auto, got {devices!r}")
    if not checkpoint_minutes > 0:
        raise UserError(f"checkpoint_minutes must be above 0, got {checkpoint_minutes}")
    asked = {"method": method, "epochs": epochs, "batch": batch, "size": size, "channels": channels, "augment": augment}
    asked |= {"encoder": encoder if isinstance(encoder, str) else None}
    asked |= {name.replace("-", "_"): _value(value) for name, value in hyperparameters.items()}
    plan = _recipe(recipe, {name: value for name, value in asked.items() if value is not None})
    # A named data set says which part of it is for pretraining; a folder given whole is taken whole.
    part = splits(data).get("pretrain", data) if isinstance(data, str) and not Path(data).exists() else data
    source = open_source(part, root=root, size=plan.size, channels=plan.channels, progress=progress)
    if len(source) < SMALLEST:
        raise UserError(f"{source.name} has {len(source)} samples: training needs at least {SMALLEST}, better hundreds")
    if batch is None and recipe is None:
        plan = plan.with_(batch=min(plan.batch, len(source)))

    progress = progress and not _is_helper_process()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plan, learner = _learner(source, plan, encoder, views)
        check_batch(plan.batch, learner, source)
        folder = Path(out) if out is not None else Path("runs") / f"{_slug(source.name)}-{plan.method}"
        config = {
            "likewise": _version(),
            "data": str(part) if isinstance(part, (str, Path)) else source.name,
            "source": {
                "name": source.name,
                "samples": len(source),
                "modality": source.modality,
                "root": root and str(root),
            },
            "recipe": plan.to_dict(),
            "method": {"name": plan.method, "family": learner.family, "paper": learner.paper},
            "encoder": getattr(learner.encoder, "config", None),
            "views": learner.views.config() if hasattr(learner.views, "config") else None,
            "seed": seed,
        }
        run = _resumed(folder, config) if resume or _is_helper_process() else None
        if run is None:
            if precision == "auto":
                sample = source.read(torch.arange(min(64, len(source))))
                precision = fastest_precision(learner, sample, key=f"{plan.method} {config['encoder']}")
            machine = {"precision": precision, "devices": devices, "strategy": strategy}
            given = {name: value for name, value in machine.items() if value != "auto"}
            config["command"] = _command(
                "pretrain",
                data,
                {"recipe": recipe, **asked, "seed": seed or None, "root": root, **given, "out": folder},
            )
            config |= {
                "precision": precision,
                "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            }
            run = Run.create(folder, config)
            write_json(folder / "chance.json", learner.chance(plan.batch))
            run.save_skipped(source.skipped)
        _tell(progress, f"{source.name}: {len(source):,} samples{_skipped_note(source)}")
        _tell(progress, f"{plan.method}, {plan.encoder}, {run.config['precision']} -> {run.path}")
        _tell(progress, f"views: {learner.views}")
        fitted = fit(
            learner,
            source,
            plan,
            run.path,
            seed=seed,
            precision=run.config["precision"],
            devices=devices,
            strategy=strategy,
            resume=resume,
            checkpoint_minutes=checkpoint_minutes,
            progress=progress,
        )
    if fitted.interrupted:
        raise Interrupted(
            f"stopped at step {fitted.step} of {fitted.steps}; to go on: {run.config['command']} --resume"
        )
    if not run.finished and not _is_helper_process():
        run.config |= {"seconds": round(fitted.seconds, 1), "images_per_second": round(fitted.images_per_second, 1)}
        run.save_config()
        _save_gallery(run, learner.encoder, source, learner.views, labelled=False)
        run.save(learner.encoder, learner.views)
    return run


def evaluate(
    run: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] = LABELS_PER_CLASS,
    seeds: int = 5,
    ways: Sequence[str] | None = None,
    root: str | Path | None = None,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Evaluation:
    """Prove with few labels what an encoder is worth: from scratch, frozen and fine-tuned, side by side.

    Args:
        run: a finished run, or its folder.
        train: labelled data to draw the labels from; the run's own data set if it has labels.
        test: labelled data to judge by; it chooses nothing.
        labels_per_class: how many labels; `all` takes every one there is.
        seeds: repetitions, each with labels drawn anew.
        ways: which ways to compare; all if not given.
        root: where the files of a named data set lie.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        A dict with every trial and its summary, printed as a table; it is also the run's evaluation.json.

    Raises:
        UserError: for data without labels, more labels per class than there are, and the like.
    """
    from likewise.atomic import write_json
    from likewise.data import open_source
    from likewise.evaluation import DEFAULT_WAYS, evaluate_encoder
    from likewise.training.machine import device_name
    from likewise.training.progress import progress_bar

    run = _opened(run)
    if encoder is not None:
        run.load_encoder(encoder)
    views = views or run.views
    network = run.encoder
    recipe = run.config["recipe"]
    shape = {"size": recipe["size"], "channels": recipe["channels"], "progress": progress}
    root = root or run.config["source"]["root"]
    if train is None or test is None:
        own = _labelled_splits(run.config["data"])
        train, test = train if train is not None else own[0], test if test is not None else own[1]
    train_source = open_source(train, root=root, **shape)
    test_source = open_source(test, root=root, **shape)
    with progress_bar(show=progress) as tell:
        result = evaluate_encoder(
            network,
            views,
            train_source,
            test_source,
            make_encoder=run.build_encoder if run.config["encoder"] else None,
            labels_per_class=labels_per_class,
            seeds=seeds,
            ways=ways or DEFAULT_WAYS,
            device=device_name(),
            autocast=run.config["precision"] == "bf16-mixed",
            channels_last=True,
            progress=tell,
        )
    shown = {"train": train, "test": test} if isinstance(train, (str, Path)) else {}
    options = {**shown, "labels_per_class": list(labels_per_class), "seeds": seeds, "ways": ways}
    result["command"] = _command("evaluate", run.path, options)
    write_json(run.path / "evaluation.json", result)
    run.__dict__.pop("evaluation", None)
    _save_gallery(run, network, test_source, views, labelled=True)
    return Evaluation(result)


def study(
    data: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] = LABELS_PER_CLASS,
    seeds: int = 5,
    resume: bool = False,
    root: str | Path | None = None,
    progress: bool = True,
    **training: Any,
) -> Evaluation | Run:
    """The whole story of a data set: pretrain, evaluate, report.

    A named data set is split as its authors split it. A folder with train and test subfolders is split so; any other
    folder with a subfolder for each class has a fifth of each class held out for the test, and the encoder never sees
    it. Data without labels is pretrained and reported, not evaluated.

    Args:
        data: what to learn from: see `likewise pretrain`.
        train: labelled data to draw labels from; the data's own if it has any.
        test: labelled data to judge by.
        labels_per_class: how many labels; `all` takes every one there is.
        seeds: repetitions of the evaluation, each with labels drawn anew.
        resume: go on with an interrupted training of the same run folder.
        root: where the files of a named data set lie.
        progress: show progress on stderr.
        training: anything that `likewise pretrain` takes, such as --method simclr --epochs 20 --out runs/mine.

    Returns:
        The evaluation, or the run where there are no labels.
    """
    from likewise.data import splits

    training = {name.replace("-", "_"): _value(value) for name, value in training.items()}
    command = _command(
        "study", data, {"labels_per_class": list(labels_per_class), "seeds": seeds, "root": root, **training}
    )
    parts = splits(data)
    try:
        run = pretrain(parts.get("pretrain", data), root=root, resume=resume, progress=progress, **training)
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).partition(';')[0]}; to go on: {command} --resume") from None
    train, test = (
        given if given is not None else parts.get(role) for given, role in ((train, "train"), (test, "test"))
    )
    if train is None or test is None:
        _tell(progress, f"{run.config['data']} has no labels to evaluate with: give some with --train and --test")
        report(run)
        return run
    evaluation = evaluate(
        run, train=train, test=test, labels_per_class=labels_per_class, seeds=seeds, root=root, progress=progress
    )
    _tell(progress, f"the page: {report(run)}")
    return evaluation


def demo(*, out: str | Path = "runs/demo", seeds: int = 5, progress: bool = True) -> Evaluation | Run:
    """The whole story on real data that comes with the installation, in under three minutes on two cores.

    Args:
        out: the run folder; what an earlier demo left there is replaced.
        seeds: repetitions of the evaluation.
        progress: show progress on stderr.
    """
    import shutil

    if Path(out).exists():
        Run.open(out)  # raises where the folder is not ours to remove
        shutil.rmtree(out)
    return study("digits", recipe="digits-simclr", labels_per_class=(1, 5, 10), seeds=seeds, out=out, progress=progress)


def embed(
    run: Any,
    data: Any,
    *,
    out: str | Path,
    root: str | Path | None = None,
    batch: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Embedded:
    """Write the embedding of every sample: ids, labels if there are any, and vectors. Streamed, never all in memory.

    Args:
        run: a finished run, or its folder.
        data: what to embed: see `likewise pretrain`.
        out: a .parquet file (columns id, label, vector) or a .npy file (vectors only).
        root: where the files of a named data set lie.
        batch: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The file, how many rows it has, and how long the vectors are.
    """
    import torch

    from likewise.data import open_source
    from likewise.embedding import write_embeddings
    from likewise.evaluation import Machine
    from likewise.training.machine import device_name

    run = _opened(run)
    if encoder is not None:
        run.load_encoder(encoder)
    recipe = run.config["recipe"]
    source = open_source(data, root=root, size=recipe["size"], channels=recipe["channels"], progress=progress)
    machine = Machine(torch.device(device_name()), batch, channels_last=True)
    rows, dim = write_embeddings(run.encoder, views or run.views, source, Path(out), machine=machine, progress=progress)
    return Embedded(str(out), rows, dim)


def report(run: Any) -> Path:
    """Write the run's page: report.html, one file that opens in any browser without a network.

    Args:
        run: a run, or its folder.

    Returns:
        The page.
    """
    from likewise.report import write_report

    return write_report(_opened(run).path)


def show_views(
    data: Any,
    *,
    out: str | Path = "views.png",
    augment: Any = "strong",
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> Path:
    """Draw what the augmentations do: rows one and two are the two views of eight samples, row three the samples.

    Args:
        data: where the samples come from: see `likewise pretrain`.
        out: the picture, a .png file.
        augment: strong, mild or none; from Python also a list of operations.
        size: height and width of the images in pixels; their own if not given.
        channels: 1 (grey) or 3; their own if not given.
        seed: which samples, and which views of them.
        root: where the files of a named data set lie.

    Returns:
        The picture's path.
    """

    from likewise.data import open_source
    from likewise.data.loader import order
    from likewise.methods.base import generator_for
    from likewise.modalities import prepare
    from likewise.training.recipe import Recipe
    from likewise.views import ImageViews, picture_grid

    recipe = Recipe(augment=augment, size=size, channels=channels)
    source = open_source(data, root=root, size=size, channels=channels)
    _, views, _ = prepare(source, recipe, accelerated=False)
    assert isinstance(views, ImageViews)
    batch = source.read(order(len(source), seed=seed, epoch=0)[:8])
    generator = generator_for(seed)
    shown = [views(batch, generator), views(batch, generator), views.plain(batch)]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    picture_grid([views.picture(view) for view in shown]).save(out)
    return Path(out)


def methods() -> list[dict[str, str]]:
    """Every method: its name, family, paper (arXiv id), and when to choose it."""
    from likewise.methods import METHODS, method_class

    classes = {name: method_class(name) for name in METHODS}
    return [
        {"name": name, "family": c.family, "modality": c.modality, "paper": f"arXiv:{c.paper}", "choose": c.choose}
        for name, c in classes.items()
    ]


def open_run(path: str | Path) -> Run:
    """Open the folder that a training left.

    Raises:
        UserError: when there is none, or it is not a run of likewise.
    """
    return Run.open(path)


class Embedded(NamedTuple):
    """What `embed` wrote."""

    out: str
    rows: int
    dim: int


def _recipe(name: str | None, changes: dict[str, Any]) -> Recipe:
    """The named recipe, or the method's own, with changes; their names are checked against recipe and method."""
    import dataclasses

    from likewise.methods import method_options
    from likewise.training.recipe import Recipe, load_recipe

    recipe = load_recipe(name) if name else Recipe()
    method = changes.get("method", recipe.method)
    known = [f.name for f in dataclasses.fields(Recipe) if f.name != "options"] + list(method_options(method))
    for key in changes:
        if key not in known:
            raise UserError(f"unknown hyperparameter '{key}'{nearest(key, known)}; {method} takes {', '.join(known)}")
    if method != recipe.method:
        recipe = dataclasses.replace(recipe, options={})
    return recipe.with_(**changes)


def _learner(source: Source, plan: Recipe, encoder: Any, views: Views | None) -> tuple[Recipe, Method]:
    """The method around its encoder, with its views, and the recipe with what the samples decided filled in."""
    import torch

    from likewise.encoders.base import adopt
    from likewise.methods import build_method
    from likewise.modalities import prepare
    from likewise.training.machine import device_name, lay_out

    own = isinstance(encoder, torch.nn.Module)
    if views is None or not own:
        plan, usual_views, build = prepare(source, plan, accelerated=device_name() != "cpu")
        views = views or usual_views
        encoder = encoder if own else build()
    learner = build_method(
        plan.method, lay_out(adopt(encoder, views.plain(source.read(torch.arange(2))))), plan.options
    )
    learner.views = views
    return plan, learner


def _value(text: Any) -> Any:
    """A number for text that is one: command lines have only text."""
    if isinstance(text, str):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _opened(run: Any) -> Run:
    return run if isinstance(run, Run) else Run.open(run)


def _resumed(folder: Path, config: dict[str, Any]) -> Run | None:
    """The run to go on with, if it was begun with the same configuration; None when nothing was begun."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    run = Run.open(folder)
    asked, begun = ({**c, **c["recipe"], **c["recipe"]["options"]} for c in (config, run.config))
    for key in ("data", "seed", *config["recipe"], *config["recipe"]["options"]):
        if key != "options" and asked.get(key) != begun.get(key):
            raise UserError(
                f"{folder} was begun with {key} {begun.get(key)!r}, not {asked.get(key)!r}: "
                f"resume it as it was (`{run.config['command']} --resume`), or name another folder with --out"
            )
    return run


def _labelled_splits(data: str) -> tuple[Any, Any]:
    """The train and test parts of the data that a run learned from, if the run saw no test sample."""
    from likewise.data import splits

    parts = splits(data.rpartition(":")[0] or data)
    if data not in (parts.get("pretrain"), parts.get("train")):
        raise UserError(
            f"the encoder has learned from all of {data}: name labelled data that it has not seen with --train and "
            f"--test, or let `likewise study {data}` hold some out"
        )
    return parts["train"], parts["test"]


def _save_gallery(run: Run, encoder: nn.Module, source: Source, views: Views, *, labelled: bool) -> None:
    """Keep samples with their embeddings in the run, for its map and its neighbours."""
    import numpy as np
    import torch

    from likewise.atomic import write_atomically
    from likewise.evaluation import Machine, encode

    indices = torch.linspace(0, len(source) - 1, min(GALLERY, len(source))).round().long()
    ids = source.ids
    vectors = encode(encoder.cpu(), views, source, indices, machine=Machine(torch.device("cpu")))
    arrays: dict[str, Any] = {"embeddings": vectors.numpy(), "ids": np.array([ids[i] for i in indices.tolist()])}
    if picture := getattr(views, "picture", None):
        parts = [picture(views.plain(source.read(part))) for part in indices.split(256)]
        arrays["pictures"] = torch.cat(parts).numpy()
    if labelled:
        arrays |= {"labels": source.labels()[indices].numpy(), "classes": np.array(source.classes)}
    write_atomically(run.path / "gallery.npz", lambda file: np.savez(file, **arrays))


def _command(verb: str, what: Any, options: dict[str, Any]) -> str:
    """The command line that asks for the same."""
    words = ["likewise", verb, str(what) if isinstance(what, (str, Path)) else "DATA"]
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words += [str(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    return shlex.join(words)


def _is_helper_process() -> bool:
    """Whether Lightning started this process to be one more rank of a training that another process began."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def _version() -> str:
    from likewise import __version__

    return __version__


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "data"


def _skipped_note(source: Source) -> str:
    count = len(source.skipped)
    return f", {count:,} file{'s' if count > 1 else ''} could not be read (see skipped.csv)" if count else ""


def _tell(progress: bool, text: str) -> None:
    if progress:
        print(text, file=sys.stderr, flush=True)
