"""The public functions. The commands are these same functions: name, parameters, defaults and help are written here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from likewise.errors import Interrupted, UserError, nearest
from likewise.run import Evaluation, Run
from likewise.wording import command_line, slug, tell, training_options, value_of

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.training.recipe import Recipe

FromPython = Annotated[Any, Parameter(parse=False)]  # an argument that no command line can hold

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
USUAL_COUNTS = (1, 10, 100)


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
    devices: int | str = "auto",
    precision: str = "auto",
    strategy: str = "auto",
    checkpoint_minutes: float = 5.0,
    probe: Any = None,
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
        probe: labelled data, named as `data` is, on which the encoder is asked for classes each epoch: the accuracy
            of its nearest neighbours is shown, and never touches the training.
        progress: show progress on stderr.
        hyperparameters: any other value of the recipe or the method, such as --rate 0.001 --temperature 0.2.

    Returns:
        The run: its folder holds the encoder, the metrics, the checkpoints and the configuration.

    Raises:
        UserError: for what you can mend; the message says how.
    """
    from likewise.data import is_name, open_source, splits
    from likewise.pretraining import Hardware, pretrain_encoder

    hardware = Hardware(str(devices), precision, strategy)
    if precision not in PRECISIONS:
        raise UserError(f"precision must be {', '.join(PRECISIONS)}, got {precision!r}{nearest(precision, PRECISIONS)}")
    if not (hardware.devices == "auto" or (hardware.devices.isdigit() and int(hardware.devices) > 0)):
        raise UserError(f"devices must be a whole number or auto, got {devices!r}")
    if not checkpoint_minutes > 0:
        raise UserError(f"checkpoint_minutes must be above 0, got {checkpoint_minutes}")
    if seed < 0:
        raise UserError(f"seed must be 0 or more, got {seed}")
    if isinstance(views, str):
        raise UserError(f"views are given from Python, got {views!r}: on the command line --augment chooses them")
    asked = {"method": method, "epochs": epochs, "batch": batch, "size": size, "channels": channels, "augment": augment}
    asked |= {"encoder": encoder if isinstance(encoder, str) else None}
    asked |= {name.replace("-", "_"): value_of(value) for name, value in hyperparameters.items()}
    plan = _recipe(recipe, {name: value for name, value in asked.items() if value is not None})
    # A named data set says which part of it is for pretraining; a folder given whole is taken whole.
    part = splits(data).get("pretrain", data) if is_name(data) else data
    source = open_source(part, root=root, size=plan.size, channels=plan.channels, progress=progress)
    folder = Path(out) if out is not None else Path("runs") / f"{slug(source.name)}-{plan.method}"
    options: dict[str, Any] = {"recipe": recipe, **asked, "seed": seed, "root": root}
    options |= {"probe": probe if isinstance(probe, (str, Path)) else None}
    options |= {"devices": hardware.devices, "strategy": strategy, "precision": precision, "out": folder}
    usual = {"devices": "auto", "strategy": "auto", "precision": "auto", "seed": 0}
    if isinstance(plan.augment, list) and recipe is None:
        options["recipe"] = folder / "recipe.yaml"  # a list of operations fits in no option
    return pretrain_encoder(
        source,
        plan,
        folder,
        data=_again(part),
        root=None if root is None else str(root),
        command=command_line("pretrain", data, {k: v for k, v in options.items() if v != usual.get(k)}),
        encoder=encoder,
        views=views,
        seed=seed,
        hardware=hardware,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
        probe=probe,
        probe_again=None if probe is None else _again(probe),
        progress=progress,
    )


def evaluate(
    run: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int = 5,
    ways: Sequence[str] | None = None,
    steps: int | None = None,
    root: str | Path | None = None,
    encoder: FromPython = None,
    make_encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Evaluation:
    """Prove with few labels what an encoder is worth: from scratch, frozen and fine-tuned, side by side.

    Args:
        run: a finished run, or its folder.
        train: labelled data to draw the labels from; the run's own data set if it has labels.
        test: labelled data to judge by; it chooses nothing.
        labels_per_class: how many labels; `all` takes every one there is. Those of 1, 10 and 100 that there are,
            and all, if not given.
        seeds: repetitions, each with labels drawn anew.
        ways: which ways to compare; all if not given.
        steps: optimisation steps from scratch, half as many for fine-tuning; by the number of labels if not given.
        root: where the files of a named data set lie.
        encoder: from Python, the module that was trained, if it was your own.
        make_encoder: from Python, what builds that module anew, if resetting its layers does not.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        A dict with every trial and its summary, printed as a table; it is also the run's evaluation.json.

    Raises:
        UserError: for data without labels, more labels per class than there are, and the like.
    """
    import torch

    from likewise.atomic import write_json
    from likewise.encoders import adopt
    from likewise.evaluation import DEFAULT_WAYS, evaluate_encoder
    from likewise.pretraining import save_gallery
    from likewise.training.machine import device_name
    from likewise.training.progress import progress_bar

    run = _opened(run)
    views = views or run.views
    root = root or run.config["source"]["root"]
    if train is None or test is None:
        own = _labelled_splits(run)
        train, test = own[0] if train is None else train, own[1] if test is None else test
    train_source, test_source, labels_per_class = _labelled(
        run.config, train, test, labels_per_class, seeds, root, progress
    )
    if encoder is not None:
        run.load_encoder(adopt(encoder, views.plain(train_source.read(torch.arange(2)))))
    network = run.encoder
    with progress_bar(show=progress) as say:
        result = evaluate_encoder(
            network,
            views,
            train_source,
            test_source,
            make_encoder=make_encoder or (run.build_encoder if run.config["encoder"] else None),
            labels_per_class=labels_per_class,
            seeds=seeds,
            ways=ways or DEFAULT_WAYS,
            steps=steps,
            device=device_name(),
            autocast=run.config["precision"] == "bf16-mixed",
            channels_last=True,
            progress=say,
        )
    options = {"train": train, "test": test, "labels_per_class": list(labels_per_class), "seeds": seeds, "ways": ways}
    result["command"] = command_line("evaluate", run.path, options | {"steps": steps, "root": root})
    result["skipped"] = {"train": len(train_source.skipped), "test": len(test_source.skipped)}
    write_json(run.path / "evaluation.json", result)
    run.__dict__.pop("evaluation", None)
    save_gallery(run, network, test_source, views, labelled=True)
    return Evaluation(result)


def study(
    data: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
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
        labels_per_class: how many labels; `all` takes every one there is. Those of 1, 10 and 100 that there are,
            and all, if not given.
        seeds: repetitions of the evaluation, each with labels drawn anew.
        resume: go on with an interrupted training of the same run folder.
        root: where the files of a named data set lie.
        progress: show progress on stderr.
        training: anything that `likewise pretrain` takes, such as --method simclr --epochs 20 --out runs/mine.

    Returns:
        The evaluation, or the run where there are no labels.
    """
    from likewise.data import splits

    training = training_options(training)
    counts = None if labels_per_class is None else list(labels_per_class)
    options = {"train": train, "test": test, "labels_per_class": counts, "seeds": seeds, "root": root, **training}
    command = command_line("study", data, options)
    parts = splits(data)
    train = parts.get("train") if train is None else train
    test = parts.get("test") if test is None else test
    if train is not None and test is not None:  # a mistake in these shall not wait for the end of the training
        shape = _recipe(
            training.get("recipe"), {k: v for k in ("size", "channels") if (v := training.get(k)) is not None}
        )
        _labelled({"recipe": shape.to_dict()}, train, test, labels_per_class, seeds, root, progress)
    try:
        run = pretrain(parts.get("pretrain", data), root=root, resume=resume, progress=progress, **training)
        if train is None or test is None:
            tell(f"{run.config['source']['name']} has no labels to evaluate with: name some with --train and --test")
            report(run)
            return run
        evaluation = evaluate(
            run, train=train, test=test, labels_per_class=labels_per_class, seeds=seeds, root=root, progress=progress
        )
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).partition(';')[0]}; to go on: {command} --resume") from None
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after the training; to go on: {command} --resume") from None
    tell(f"the page: {report(run)}", show=progress)
    return evaluation


def demo(*, out: str | Path = "runs/demo", seeds: int = 6, progress: bool = True) -> Evaluation | Run:
    """The whole story on real data that comes with the installation, in under three minutes on two cores.

    Args:
        out: the run folder; what an earlier demo left there is replaced.
        seeds: repetitions of the evaluation.
        progress: show progress on stderr.
    """
    import shutil

    from likewise.pretraining import is_helper_process

    if Path(out).exists() and not is_helper_process():
        before = Run.open(out)  # raises where the folder is no run at all
        if "--recipe digits-simclr" not in before.config["command"]:
            raise UserError(f"{out} is another run, not a demo's: name another folder with --out")
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
    from likewise.embedding import check_ending, write_embeddings
    from likewise.encoders import adopt
    from likewise.evaluation import Machine
    from likewise.training.machine import device_name

    run = _opened(run)
    views = views or run.views
    check_ending(Path(out))
    if batch < 1:
        raise UserError(f"batch must be at least 1, got {batch}")
    recipe = run.config["recipe"]
    source = open_source(data, root=root, size=recipe["size"], channels=recipe["channels"], progress=progress)
    if encoder is not None:
        run.load_encoder(adopt(encoder, views.plain(source.read(torch.arange(2)))))
    machine = Machine(torch.device(device_name()), batch, channels_last=True)
    rows, dim = write_embeddings(run.encoder, views, source, Path(out), machine=machine, progress=progress)
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

    if Path(out).suffix.lower() != ".png":
        raise UserError(f"out must end in .png, got {out}")
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
    from likewise.training.recipe import Recipe, load_recipe, recipe_names

    asked = changes.get("method", Recipe().method)
    name = name or (asked if asked in recipe_names() else None)
    recipe = load_recipe(name) if name else Recipe()
    method = changes.get("method", recipe.method)
    known = [f.name for f in dataclasses.fields(Recipe) if f.name != "options"] + list(method_options(method))
    for key in changes:
        if key not in known:
            raise UserError(f"unknown hyperparameter '{key}'{nearest(key, known)}; {method} takes {', '.join(known)}")
    if method != recipe.method:
        recipe = dataclasses.replace(recipe, options={})
    return recipe.with_(**changes)


def _opened(run: Any) -> Run:
    return run if isinstance(run, Run) else Run.open(run)


def _again(data: Any) -> str | None:
    """How to open data again from any folder: a name, a path from the root; None for what is in memory only."""
    from likewise.data import is_name

    if not isinstance(data, (str, Path)) or is_name(data):
        return data if isinstance(data, str) else None
    path = Path(data).expanduser()
    if path.exists():
        return str(path.resolve())
    base, _, split = str(path).rpartition(":")
    return f"{Path(base).resolve()}:{split}"


def _labelled_splits(run: Run) -> tuple[Any, Any]:
    """The train and test parts of the data that a run learned from, if the run saw no test sample."""
    from likewise.data import is_name, splits

    data, name = run.config["data"], run.config["source"]["name"]
    if data is None:
        raise UserError(f"{run.path} learned from data in memory: name labelled data with train and test")
    base = data.partition(":")[0] if is_name(data) else data.rpartition(":")[0] or data
    if not is_name(data) and not Path(base).exists():
        raise UserError(f"the data of {run.path} is no longer at {base}: name labelled data with --train and --test")
    parts = splits(base)
    if data not in (parts.get("pretrain"), parts.get("train")) or not {"train", "test"} <= set(parts):
        raise UserError(
            f"the encoder has learned from all of {name}: name labelled data that it has not seen with --train and "
            f"--test, or let `likewise study {base}` hold some out"
        )
    return parts["train"], parts["test"]


def _labelled(
    config: dict[str, Any],
    train: Any,
    test: Any,
    counts: Sequence[int | Literal["all"]] | None,
    seeds: int,
    root: Any,
    progress: bool,
) -> tuple[Source, Source, Sequence[int | Literal["all"]]]:
    """The labelled sources in the shape that a run's encoder takes, and how many labels to draw, checked."""
    from likewise.data import open_source
    from likewise.evaluation.labels import check_label_counts, shared_labels

    if isinstance(train, (str, Path)) and isinstance(test, (str, Path)) and _again(train) == _again(test):
        raise UserError(f"train and test are both {train}: test on samples that no label was drawn from")
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, got {seeds}")
    recipe = config["recipe"]
    sources = [
        open_source(data, root=root, size=recipe["size"], channels=recipe["channels"], progress=progress)
        for data in (train, test)
    ]
    classes, labels, _ = shared_labels(*sources)
    if counts is None:
        fewest = int(labels.bincount(minlength=len(classes)).min())
        counts = [*(count for count in USUAL_COUNTS if count <= fewest), "all"]
    check_label_counts(list(counts), labels, classes, sources[0].name)
    return sources[0], sources[1], counts
