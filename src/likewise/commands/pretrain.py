"""`likewise pretrain`: train an encoder on unlabelled data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likewise.commands.arguments import FromPython, command_line, slug, value_of
from likewise.console import tell
from likewise.errors import UserError, nearest
from likewise.modalities.run import Run

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def pretrain(
    data: Any,
    *,
    method: str | None = None,
    recipe: str | None = None,
    encoder: Any = None,
    epochs: int | None = None,
    batch_size: int | None = None,
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
        batch_size: samples a step.
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
        hyperparameters: any other value of the recipe or the method, such as --lr 0.001 --temperature 0.2.

    Returns:
        The run: its folder holds the encoder, the metrics, the checkpoints and the configuration.

    Raises:
        UserError: for what you can mend; the message says how.
    """
    from likewise.commands.options import again, check_modality, read_options_of, recipe_of, shape_of
    from likewise.commands.training import Hardware, pretrain_encoder
    from likewise.data.open import is_name, open_source, splits

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
    asked = {
        "method": method,
        "epochs": epochs,
        "batch_size": batch_size,
        "size": size,
        "channels": channels,
        "augment": augment,
    }
    asked |= {"encoder": encoder if isinstance(encoder, str) else None}
    asked |= {name.replace("-", "_"): value_of(value) for name, value in hyperparameters.items()}
    plan = recipe_of(recipe, {name: value for name, value in asked.items() if value is not None})
    # A named data set says which part of it is for pretraining; a folder given whole is taken whole.
    part = splits(data).get("pretrain", data) if is_name(data) else data
    said = read_options_of(modality, text_column, label_column, per_file, columns, method=plan.method)
    source = open_source(part, root=root, read_options=said.with_(**shape_of(plan)), progress=progress)
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
        read_options=said,
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
