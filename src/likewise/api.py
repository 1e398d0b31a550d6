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
    from likewise.searching import Match

FromPython = Annotated[Any, Parameter(parse=False)]  # an argument that no command line can hold

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


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
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
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
        data: a folder of images or recordings, a .npy or .npz file, a text file (.txt: a document a line), a table
            (.csv, .tsv, .jsonl, .parquet) of texts or of pairs, the name of a data set (digits, mnist, fashion-mnist,
            cifar10, cifar100, stl10), each with `:split` if wanted; from Python also an array, a tensor, a list of
            texts, a torch Dataset or a Hugging Face Dataset.
        method: see `likewise methods`.
        recipe: the name of a recipe (stl10-simclr) or a YAML file; what is given besides it overrides it.
        encoder: of images resnet8, resnet18, resnet34, resnet50, vit_tiny, vit_small or timm:NAME; of texts bert-tiny,
            gpt-tiny (mini, small, base) or hf:FOLDER; of recordings mel-resnet8, mel-resnet18 or wav2vec2-tiny (mini,
            base); of pairs one for each half, resnet18+bert-tiny; from Python also a module.
        epochs: passes over the data.
        batch: samples a step.
        size: height and width of the images in pixels; their own if not given.
        channels: 1 (grey) or 3; their own if not given.
        augment: strong, mild or none; from Python or a recipe also a list of operations.
        views: how views are made, from Python, for samples of your own kind.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        label_column: of a table, that with the labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
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
    from likewise.asked import again, check_modality, reading_of, recipe_of, shape_of
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
    plan = recipe_of(recipe, {name: value for name, value in asked.items() if value is not None})
    # A named data set says which part of it is for pretraining; a folder given whole is taken whole.
    part = splits(data).get("pretrain", data) if is_name(data) else data
    said = reading_of(modality, text_column, label_column, per_file, columns, method=plan.method)
    source = open_source(part, root=root, reading=said.with_(**shape_of(plan)), progress=progress)
    check_modality(plan.method, source)
    folder = Path(out) if out is not None else Path("runs") / f"{slug(source.name)}-{plan.method}"
    for note in getattr(source, "notes", ()):
        tell(note, show=progress)
    options: dict[str, Any] = {"recipe": recipe, **asked, "seed": seed, "root": root, "modality": modality}
    options |= {"text_column": text_column, "label_column": label_column, "per_file": per_file, "columns": columns}
    options |= {"probe": probe if isinstance(probe, (str, Path)) else None}
    options |= {"devices": hardware.devices, "strategy": strategy, "precision": precision, "out": folder}
    usual = {"devices": "auto", "strategy": "auto", "precision": "auto", "seed": 0}
    if isinstance(plan.augment, list) and recipe is None:
        options["recipe"] = folder / "recipe.yaml"  # a list of operations fits in no option
    return pretrain_encoder(
        source,
        plan,
        folder,
        data=again(part),
        root=None if root is None else str(root),
        reading=said,
        command=command_line("pretrain", data, {k: v for k, v in options.items() if v != usual.get(k)}),
        encoder=encoder,
        views=views,
        seed=seed,
        hardware=hardware,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
        probe=probe,
        probe_again=None if probe is None else again(probe),
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
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    encoder: FromPython = None,
    make_encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Evaluation:
    """Prove with few labels what an encoder is worth: from scratch, frozen and fine-tuned, side by side.

    What can be measured without labels is measured too: retrieval among pairs and of parts of a recording, the
    perplexity of a language model.

    Args:
        run: a finished run, or its folder.
        train: labelled data to draw the labels from; the run's own data set if it has labels.
        test: labelled data to judge by; it chooses nothing.
        labels_per_class: how many labels; `all` takes every one there is. Those of 1, 10 and 100 that there are,
            and all, if not given.
        seeds: repetitions, each with labels drawn anew.
        ways: which ways to compare; all if not given.
        steps: optimisation steps from scratch, half as many for fine-tuning; by the number of labels if not given.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        label_column: of a table, that with the labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
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
    from likewise.asked import has_seen, judging, learned_from, own_splits, reading_for, reading_of
    from likewise.atomic import write_json
    from likewise.evaluating import Judged, evaluate_on
    from likewise.pretraining import adopted, save_gallery

    run = _opened(run)
    views = views or run.views
    root = root or run.config["source"]["root"]
    said = reading_of(modality, text_column, label_column, per_file, columns)
    unlabelled: UserError | None = None
    if train is None or test is None:
        try:
            own = own_splits(run)
        except UserError as error:
            if test is None:
                raise
            unlabelled = error  # some tests need no labels
        else:
            train, test = own[0] if train is None else train, own[1] if test is None else test
    readings = [reading_for(run, said, data) for data in (train, test)]
    train_source, test_source = judging(train, test, readings, root, progress)
    if encoder is not None:
        run.load_encoder(adopted(encoder, views, test_source))
    network = run.encoder
    build = make_encoder or (run.build_encoder if run.config["encoder"] else None)
    result = evaluate_on(
        Judged(network, views, build, run.modality),
        train_source,
        test_source,
        folder=run.path,
        learned=learned_from(run, root, progress) if train_source is None else train_source,
        labels_per_class=labels_per_class,
        seeds=seeds,
        ways=ways,
        steps=steps,
        autocast=run.config["precision"] == "bf16-mixed",
        unlabelled=unlabelled,
        progress=progress,
    )
    if has_seen(run, test):
        result["notes"] = [f"The encoder has learned from samples of {test_source.name}, without their labels."]
    counts = result.get("labels_per_class")
    options: dict[str, Any] = {"train": train, "test": test, "labels_per_class": counts, "seeds": seeds, "ways": ways}
    options |= {"steps": steps, "modality": modality, "text_column": text_column, "label_column": label_column}
    options |= {"per_file": per_file, "columns": columns, "root": root}
    result["command"] = command_line("evaluate", run.path, options)
    result["skipped"] = {
        role: len(source.skipped) for role, source in (("train", train_source), ("test", test_source)) if source
    }
    write_json(run.path / "evaluation.json", result)
    run.__dict__.pop("evaluation", None)
    save_gallery(run, network, test_source, views, labelled=bool(test_source.classes))
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
    it. Pairs need no labels: a fifth of them is held out, to be found. Other data without labels is pretrained and
    reported, not evaluated.

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
    from likewise.asked import READ, SHAPE, judging, reading_of, recipe_of, shape_of
    from likewise.data import pairs_or_halves, splits
    from likewise.evaluating import label_counts

    training = training_options(training)
    counts = None if labels_per_class is None else list(labels_per_class)
    options = {"train": train, "test": test, "labels_per_class": counts, "seeds": seeds, "root": root, **training}
    command = command_line("study", data, options)
    shapes = {name: training[name] for name in SHAPE if training.get(name) is not None}
    asked = {"method": training["method"]} if training.get("method") else {}
    recipe = recipe_of(training.get("recipe"), asked | shapes)
    said = {name: training.get(name) for name in READ}
    reading = reading_of(**said, method=recipe.method)
    parts = splits(data, reading)
    train = parts.get("train") if train is None else train
    test = parts.get("test") if test is None else test
    if train is not None and test is not None:  # a mistake in these shall not wait for the end of the training
        readings = [pairs_or_halves(reading.with_(**shape_of(recipe)), part) for part in (train, test)]
        teaching, tested = judging(train, test, readings, root, progress)
        if teaching is not None and teaching.modality != "pair" and teaching.classes:
            label_counts(teaching, tested, labels_per_class, seeds)
    try:
        run = pretrain(parts.get("pretrain", data), root=root, resume=resume, progress=progress, **training)
        if test is None:
            tell(f"{run.config['source']['name']} has no labels to evaluate with: name some with --train and --test")
            tell(f"the page: {report(run)}", show=progress)
            return run
        evaluation = evaluate(
            run,
            train=train,
            test=test,
            labels_per_class=labels_per_class,
            seeds=seeds,
            root=root,
            progress=progress,
            **{name: training[name] for name in READ if name in training},
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
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
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
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        label_column: of a table, that with the labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
        root: where the files of a named data set lie.
        batch: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The file, how many rows it has, and how long the vectors are.
    """
    import torch

    from likewise.asked import reading_for, reading_of
    from likewise.data import open_source
    from likewise.embedding import check_ending, write_embeddings
    from likewise.evaluation import Machine
    from likewise.modalities import tower_of
    from likewise.pretraining import adopted
    from likewise.training.machine import device_name

    run = _opened(run)
    views = views or run.views
    check_ending(Path(out))
    if batch < 1:
        raise UserError(f"batch must be at least 1, got {batch}")
    reading = reading_for(run, reading_of(modality, text_column, label_column, per_file, columns), data)
    source = open_source(data, root=root, reading=reading, progress=progress)
    if encoder is not None:
        run.load_encoder(adopted(encoder, views, source))
    tower, its_views = tower_of(run.encoder, views, source.modality)
    machine = Machine(torch.device(device_name()), batch, channels_last=True)
    rows, dim = write_embeddings(tower, its_views, source, Path(out), machine=machine, progress=progress)
    return Embedded(str(out), rows, dim)


def search(
    run: Any,
    collection: Any = None,
    *,
    text: str | None = None,
    image: str | Path | None = None,
    audio: str | Path | None = None,
    top: int = 10,
    modality: str | None = None,
    text_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
) -> Matches:
    """Find the samples of a collection that are most alike to a text, a picture or a recording.

    Args:
        run: a finished run, or its folder; of pairs, to ask by one half for the other.
        collection: a .parquet file that `likewise embed` wrote, or data; what the run learned from if not given.
        text: what to ask by: words,
        image: or the path of a picture,
        audio: or the path of a recording.
        top: how many samples to name.
        modality: image, text, audio or pair, where the collection could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
        root: where the files of a named data set lie.

    Returns:
        The samples, the most alike first: rank, cosine similarity, id.

    Raises:
        UserError: for no question or several, or one that the encoder cannot read.
    """
    from likewise.asked import reading_for, reading_of
    from likewise.searching import search_collection

    run = _opened(run)
    asked = {kind: what for kind, what in (("text", text), ("image", image), ("audio", audio)) if what is not None}
    if len(asked) != 1:
        raise UserError(f"ask by one of --text, --image and --audio, got {' and '.join(asked) or 'none'}")
    if top < 1:
        raise UserError(f"top must be at least 1, got {top}")
    reading = run.reading
    if collection is None:
        collection = run.config["data"]
        if collection is None:
            raise UserError(f"{run.path} learned from data in memory: name a collection to search")
    else:
        reading = reading_for(run, reading_of(modality, text_column, None, per_file, columns), collection)
    [(kind, query)] = asked.items()
    return Matches(search_collection(run, collection, str(query), kind, reading=reading, root=root, top=top))


def generate(
    run: Any, *, prompt: str = "", tokens: int = 50, temperature: float = 0.8, top_k: int | None = 40, seed: int = 0
) -> str:
    """Let a language model go on with a text.

    Args:
        run: a finished run of a causal language model, or its folder.
        prompt: the beginning.
        tokens: how many to write at most.
        temperature: what scores are divided by: 0 always writes the likeliest token, 1 as often as it is likely.
        top_k: draw among so many of the likeliest tokens.
        seed: of what is drawn.

    Returns:
        The prompt and what follows it.

    Raises:
        UserError: for an encoder that cannot write.
    """
    from likewise.methods.base import generator_for
    from likewise.methods.writing import write

    run = _opened(run)
    views, encoder = run.views, run.encoder
    if run.modality != "text":
        raise UserError(f"{run.path} has learned from {run.modality} samples: it cannot write")
    ids = views.encode([prompt])[:, :-1]  # without its end
    settings: dict[str, Any] = {"tokens": tokens, "temperature": temperature, "top_k": top_k}
    written = write(encoder, ids, special=views.special, generator=generator_for(seed), **settings)
    return views.decode(written)[0]


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
    from likewise.views import picture_grid

    if Path(out).suffix.lower() != ".png":
        raise UserError(f"out must end in .png, got {out}")
    recipe = Recipe(augment=augment, size=size, channels=channels)
    source = open_source(data, root=root, size=size, channels=channels)
    _, source, views, _ = prepare(source, recipe, accelerated=False)
    if not hasattr(views, "picture"):
        raise UserError(f"{source.name} is {source.modality}: there is nothing to draw")
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


class Matches(list["Match"]):
    """What `search` found, the most alike first."""

    def __rich__(self) -> Any:
        from rich.table import Table

        said = any(match.words for match in self)
        table = Table("rank", "similarity", "id", *(["text"] if said else []), box=None, header_style="bold")
        for match in self:
            table.add_row(str(match.rank), f"{match.similarity:.3f}", match.id, *([match.words] if said else []))
        return table


class Embedded(NamedTuple):
    """What `embed` wrote."""

    out: str
    rows: int
    dim: int


def _opened(run: Any) -> Run:
    return run if isinstance(run, Run) else Run.open(run)
