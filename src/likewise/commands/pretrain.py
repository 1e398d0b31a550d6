"""`likewise pretrain`: train an encoder on unlabelled data."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import likewise
from likewise.atomic import disk_trouble, write_text
from likewise.checks import check_int, check_positive, check_seed, require
from likewise.commands import FromPython
from likewise.commands.caching import caching
from likewise.console import count_of, tell, tell_notes
from likewise.errors import Interrupted, UserError, nearest
from likewise.modalities.run import Run
from likewise.runs.config import MOST_THREADS, RunConfig
from likewise.runs.declared import shown
from likewise.runs.evaluation import Evaluation
from likewise.runs.lock import is_unused, training_lock
from likewise.training.recipe import Recipe

if TYPE_CHECKING:
    from likewise.commands.planned import TrainingPlan

PLANNED = ("encoder", "epochs", "warmup_epochs", "freeze_epochs", "milestones")  # what minutes decide of a recipe
AUGMENT = ("augment", "augment_second", "augment_local")  # each may be a list of operations
ONLY_FROM_PYTHON = ("views", "started", "callbacks")
MOST_DEVICES = 100_000
OTHER_DATA = "resume with the same data, or name another folder with --out"
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@caching
def pretrain(
    data: Any,
    *,
    method: str | None = None,
    recipe: str | None = None,
    encoder: Any = None,
    weights: str | Path | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    range: tuple[float, float] | None = None,
    augment: Any = None,
    views: FromPython = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    devices: int | str = "auto",
    precision: str = "auto",
    threads: int | str = "auto",
    strategy: str = "auto",
    num_nodes: int = 1,
    checkpoint_minutes: float = 5.0,
    probe: Any = None,
    started: FromPython = None,
    callbacks: FromPython = (),
    progress: bool = True,
    **hyperparameters: Any,
) -> Run | TrainingPlan:
    """Train an encoder on unlabelled data.

    Args:
        data: a folder of images or recordings, a .npy or .npz file, a text file (.txt: a document a line), a table
            (.csv, .tsv, .jsonl, .parquet) of texts, of paths of images or recordings, or of pairs, the name of a data
            set (digits, mnist, fashion-mnist, cifar10, cifar100, stl10), each with `:split` if wanted; from Python also
            an array, a tensor, a list of texts or of paths, a torch Dataset or a Hugging Face Dataset.
        method: a name of `likewise methods`; if neither it nor a recipe is given, simclr for images, bag-of-words for
            texts (simcse with weights, or with an encoder that is not static), cola for recordings, clip for pairs.
        recipe: the name of a recipe (stl10-simclr) or a YAML file; options override its values.
        encoder: of images nature_cnn, resnet8, resnet18, resnet34, resnet50, vit_micro, vit_tiny, vit_small,
            vit_large, vit_small_moco, vit_large_mae or timm:NAME; of texts static-1024 (512, 256), bert-tiny, gpt-tiny
            (mini, small, base); of recordings mel-resnet8, mel-resnet18 or wav2vec2-tiny (mini, base); of each
            hf:FOLDER, a model that transformers has saved; of pairs one for each half, resnet18+bert-tiny; from Python
            also a module.
        weights: known weights to go on from: a run folder, timm:NAME (images), hf:FOLDER (a model of transformers), or
            a file (.safetensors, .pth, .pt, .ckpt) for the `encoder`; of pairs one for each half, timm:NAME+none. They
            choose the encoder if it is not given, and the heads learn before the encoder does (see freeze_epochs,
            encoder_lr, layer_decay and lora).
        epochs: passes over the data; the recipe's if not given. With `resume`, more than a run has or was begun with
            extend it: it goes on with the schedule of the longer training.
        minutes: how long all may take, reading included: some steps are measured, and as many epochs follow as fit.
            The run keeps them. With `epochs` nothing is measured.
        batch_size: samples a step, over all devices; chosen for the machine if neither given nor in the recipe.
        size: height and width of the images in pixels; if not given their own, or those that hf:FOLDER says.
        channels: 1 (grey), 3 (RGB), or how many the images have; their own if not given.
        range: of images of more than 8 bits, the two numbers that become grey levels 0 and 255, such as 0 4095; found
            over the data if not given. The run keeps it for later data.
        augment: strong, mild or none; of images also photo, photo-mild, symbol or symbol-mild, to say what they are;
            from Python or a recipe also a list of operations.
        views: from Python, what makes the views, for samples of your own kind.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        seed: of every random choice.
        out: the run folder; runs/DATA-METHOD if not given, such as runs/photos-simclr.
        resume: continue an interrupted training of the same run folder; with more epochs, also a finished one.
        dry_run: measure some steps, say what the training would be, and do not begin it: samples, steps, parameters,
            memory, time, and the files that it would write. Only the cache of decoded files is written.
        root: the folder with the files of a named data set.
        cache: where decoded images and recordings are kept: a folder in place of the usual one; none, to decode them
            each time that they are read; or a size such as 20GB, which decodes each time what would take more. With a
            folder or a size those of shards are kept too.
        devices: how many, or auto (passed to Lightning).
        precision: 32-true, bf16-mixed, 16-mixed, or auto: the faster of the first two, by measuring.
        threads: of a CPU: how many, or auto: all, or fewer where other programs keep it busy, by measuring. The last
            bits depend on it.
        strategy: ddp … (passed to Lightning), one that keeps whole weights in each process.
        num_nodes: machines, on each of which the command is started: by torchrun, by srun, or with MASTER_ADDR,
            MASTER_PORT and NODE_RANK in its environment. The first process writes the run, in a folder that all see.
        checkpoint_minutes: time between checkpoints.
        probe: labelled data, given as `data` is: each epoch shows the accuracy of a nearest-neighbour classifier on it.
            The training does not use it.
        started: from Python, when the `minutes` began, on the clock of `time.monotonic`; now if not given.
        callbacks: from Python, callbacks of Lightning for the training.
        progress: show progress on stderr.
        hyperparameters: any other value of the recipe or the method, such as --lr 0.001 --temperature 0.2.

    Returns:
        The run: its folder holds the encoder, the metrics, the checkpoints and the configuration. Of a training by
        several processes, every process returns it, and the first one writes it. With `dry_run`, the plan of it.

    Raises:
        UserError: for an unknown or impossible value, or data that cannot be read; the message says what to do.
        Interrupted: when the training was asked to stop; it can be resumed.
    """
    import torch
    from torch import nn

    from likewise.commands.gallery import save_gallery
    from likewise.commands.options import (
        check_modality,
        check_options,
        check_range,
        check_read_options,
        command_line,
        option_words,
        read_options_of,
        recipe_of,
        reopenable,
        run_in,
        shape_of,
        skipped_note,
        slug,
    )
    from likewise.commands.planned import plan_of
    from likewise.commands.understood import tell_understood
    from likewise.data.blocks import cut_notes, token_count
    from likewise.data.fingerprint import changes, fingerprint
    from likewise.data.loader import Loader
    from likewise.data.open import open_source
    from likewise.data.resolve import is_name
    from likewise.data.sampling import order
    from likewise.data.splits import splits
    from likewise.data.text import corpus
    from likewise.data.tokens import LONE
    from likewise.distributed import is_first_process, join_nodes, launched_processes
    from likewise.encoders.low_rank import merge_low_rank
    from likewise.evaluation.probe import NeighbourProbe
    from likewise.methods import method_class
    from likewise.modalities.build import Training, build_training, check_count
    from likewise.modalities.lookup import adapt_read_options, modality_of
    from likewise.modalities.towers import encoder_for
    from likewise.modalities.within_budget import within_budget
    from likewise.registry import MODALITIES
    from likewise.runs.chance import ChanceLevels
    from likewise.runs.folder import check_free
    from likewise.runs.skipped import Skipped
    from likewise.runs.weights import save_initial_weights
    from likewise.training.budget import measured_cost
    from likewise.training.callbacks.checkpoints import newest, step_of
    from likewise.training.callbacks.diagnostics import matching_chance
    from likewise.training.callbacks.snapshots import PAIRS
    from likewise.training.figures import figures_of
    from likewise.training.fit import check_parts, fit, training_context_of
    from likewise.training.label_free import lidar_of
    from likewise.training.machine import (
        check_devices,
        check_strategy,
        device_count,
        fastest_plan,
        threads_of,
        unmeasured_plan,
    )

    started = time.monotonic() if started is None else started
    check_positive(minutes=minutes)
    if minutes is not None and epochs is not None:
        tell(f"--epochs decides, not --minutes: {count_of(epochs, 'epoch')}", show=progress)
        minutes = None
    if dry_run and resume:
        raise UserError("--dry-run plans a training from its beginning: leave out --resume")
    machine: dict[str, str] = {"devices": str(devices), "precision": precision, "strategy": strategy}
    if precision not in PRECISIONS:
        raise UserError(
            f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}{nearest(precision, PRECISIONS)}"
        )
    if machine["devices"] != "auto":
        if not (machine["devices"].isdecimal() and int(devices) > 0):
            raise UserError(f"devices must be a whole number or auto, got {devices!r}")
        check_int(1, MOST_DEVICES, devices=int(devices))
        check_devices(machine["devices"])
    check_strategy(strategy)
    if threads != "auto":
        if not str(threads).isdecimal():
            raise UserError(f"threads must be a whole number or auto, got {threads!r}")
        threads = int(threads)
        check_int(1, MOST_THREADS, threads=threads)
    check_int(1, MOST_DEVICES, num_nodes=num_nodes)
    join_nodes(num_nodes, device_count(machine["devices"]))
    if not checkpoint_minutes > 0:
        raise UserError(f"checkpoint_minutes must be above 0, got {checkpoint_minutes}")
    if seed < 0:
        raise UserError(f"seed must be 0 or more, got {seed}")
    check_seed(seed)
    if isinstance(views, str):
        raise UserError(f"views are given from Python, got {views!r}: on the command line --augment chooses them")
    if views is not None and augment is not None:
        raise UserError("augment does not apply to your own views: give one of augment and views")
    if encoder is not None and not isinstance(encoder, (str, nn.Module)):
        raise UserError(f"encoder must be a name or a torch.nn.Module, got {type(encoder).__name__}")

    if isinstance(data, (str, Path)) and not is_name(data) and (begun_run := run_in(Path(data))) is not None:
        raise UserError(
            f"{data} is a run, not data: `{begun_run.config['command']} --resume` goes on with it, and "
            f"`likewise pretrain DATA --weights {data}` begins with its encoder"
        )

    # The recipe and the samples.
    asked = {
        "method": method,
        "epochs": epochs,
        "batch_size": batch_size,
        "size": size,
        "channels": channels,
        "augment": augment,
        "encoder": encoder if isinstance(encoder, str) else None,
        "weights": None if weights is None else str(weights),
        **hyperparameters,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    plan = recipe_of(recipe, given, also=PARAMETERS)
    # Known weights decide what only a recipe says; a recipe that names weights has chosen the rest for them.
    decided = {name for name, value in plan.to_dict().items() if value not in (None, "auto")}
    chosen = set(given) if weights is not None else decided
    any_method = method is None and recipe is None and views is None
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
        "columns": columns,
        "range": range,
    }
    read_options = read_options_of(modality, **reading, method=plan.method)
    check_read_options({**reading, "root": root}, data, probe)
    # A named data set says which part of it is for pretraining; a folder given whole is taken whole.
    part = splits(data).get("pretrain", data) if is_name(data) else data
    source = open_source(part, root=root, read_options=read_options.with_(**shape_of(plan)), progress=progress)
    which = f"{source.modality} samples"
    if any_method and source.modality in MODALITIES:
        kind = modality_of(source.modality)
        usual = kind.default_method
        if weights is None and not plan.options.keys() & given.keys():  # those of a method are meant for that one
            # A module of the user's own is not the usual encoder of such samples.
            named = type(encoder).__name__ if isinstance(encoder, nn.Module) else plan.encoder
            usual, which = kind.usual_method(source, dataclasses.replace(plan, encoder=named))
        plan = recipe_of(recipe, given | {"method": usual}, also=PARAMETERS)
    check_modality(plan.method, source)
    check_options([*given, *(["per_file"] if per_file else []), *(["range"] if range else [])], source)
    check_range(range, source)
    if any_method:
        tell(f"method: {plan.method}, the usual one for {which}", show=progress)
    tell_notes(source.notes, show=progress)
    in_blocks = len(source) < PAIRS and method_class(plan.method).whole_documents
    if not (in_blocks and sum(map(len, corpus(source))) >= LONE):  # a few long documents are many samples
        check_count(source)

    # The command that repeats the run.
    name = source.name if part is data else source.name.partition(":")[0]
    for usual_part in (":train", ":unlabeled"):
        name = name.removesuffix(usual_part)
    folder = Path(out) if out is not None else Path("runs") / f"{slug(name)}-{plan.method}"
    options: dict[str, Any] = {
        "recipe": recipe,
        **asked,
        "minutes": minutes,
        "seed": seed,
        "root": root,
        "cache": cache,
        "modality": modality,
        **reading,
    }
    options |= {
        "probe": probe if isinstance(probe, (str, Path)) else None,
        **machine,
        "num_nodes": num_nodes if num_nodes > 1 else None,
        "threads": threads,
        "out": folder,
    }
    if recipe is None and any(isinstance(getattr(plan, each), list) for each in AUGMENT):
        options["recipe"] = folder / "recipe.yaml"  # a list of operations fits in no option
    defaults = {"devices": "auto", "strategy": "auto", "precision": "auto", "threads": "auto", "seed": 0}
    command = command_line("pretrain", data, {k: v for k, v in options.items() if v != defaults.get(k)})

    if dry_run:
        check_free(folder)
    if dry_run and launched_processes() > 1:
        raise UserError("--dry-run measures in one process, a launcher has started several: start it without one")
    first = is_first_process()
    progress = progress and first
    here = torch.get_num_threads()
    # Helper processes keep the number that their launcher shares out among them.
    shared_out = launched_processes() > 1 or device_count(machine["devices"]) > 1
    wanted = here if threads == "auto" and shared_out else threads
    with torch.random.fork_rng(), contextlib.ExitStack() as held:
        # The method, the context of its training, and its figures at chance.
        torch.manual_seed(seed)
        own_encoder, own_views = (encoder if isinstance(encoder, nn.Module) else None), views
        begun_in = folder if resume or not first else None  # another process has begun it already
        may_shrink = plan.encoder == "auto" and plan.weights is None and encoder is None
        measures = minutes is not None
        if minutes is not None and begun_in is not None and not is_unused(folder):
            plan, measures = _planned_before(folder, plan, minutes), False
        plan, source, learner, loaded = build_training(
            source, plan, encoder=own_encoder, views=own_views, given=chosen, kept=begun_in
        )
        if batch_size is None and (asked_batch := plan.batch_size or 0) > len(source):
            plan = dataclasses.replace(plan, batch_size=len(source))
            tell(f"batch size: {len(source)}, all samples, not the {asked_batch} of the recipe", show=progress)
        views = learner.views
        packed, files = (None, {}) if own_views is not None else modality_of(source.modality).pack(views)
        context = training_context_of(learner, source, plan, seed=seed)
        learner.prepare(context)  # a queue's length, and so its chance level, depends on how many samples there are
        chance = matching_chance(context.batch_size, cross_modal=learner.cross_modal)
        chance |= learner.chance(context.batch_size)
        ask = None
        if probe is not None:
            like = read_options
            if own_views is None:
                like = like.with_(**modality_of(source.modality).read_options(views))
            labelled = open_source(probe, root=root, read_options=adapt_read_options(like, probe), progress=progress)
            tell_notes(cut_notes(labelled), show=progress)
            classify = NeighbourProbe(labelled)
            chance["probe"] = classify.chance

            def ask(method: Any) -> float:
                return classify(*encoder_for(labelled.modality, method.deployed_encoder, views), method.device)

        budget = planned = cost = None
        if measures and is_unused(folder):
            assert minutes is not None
            if launched_processes() > 1:
                raise UserError("minutes are measured by one process, a launcher has started several: give --epochs")
            before = plan
            training, planned, budget, cost = within_budget(
                Training(plan, source, learner, loaded),
                minutes,
                started=started,
                seed=seed,
                precision=precision,
                threads=wanted,
                devices=machine["devices"],
                given=given,
                may_shrink=may_shrink,
                probe=ask,
            )
            plan, source, learner, loaded = training
            context = training_context_of(learner, source, plan, seed=seed)
            learner.prepare(context)
            new = {name: value for name in PLANNED if (value := getattr(plan, name)) != getattr(before, name)}
            command += " " + shlex.join(option_words({"epochs": plan.epochs} | new))

        if dry_run:
            number = device_count(machine["devices"])
            check_parts(learner, context.batch_size, number)
            planned = planned or fastest_plan(learner, context, precision=precision, threads=wanted)
            if cost is None:
                how: dict[str, Any] = {"seed": seed, "precision": planned.precision, "probe": ask}
                with threads_of(planned.threads):
                    cost = measured_cost(learner, source, plan, minutes=None, devices=number, **how)
            measured: dict[str, Any] = {"context": context, "cost": cost, "machine": planned, "devices": number}
            return plan_of(learner, source, plan, **measured, out=folder, kept_files=list(files), command=command)

        # The run folder: a new one, or one that was begun with the same configuration.
        config: dict[str, Any] = {
            "likewise": likewise.__version__,
            "data": reopenable(part),
            "source": {
                "name": source.name,
                "samples": len(source),
                "modality": source.modality,
                "root": None if root is None else str(root),
                "fingerprint": fingerprint(source),
            },
            "read_options": dataclasses.asdict(read_options),
            "recipe": plan.to_dict(),
            "probe": None if probe is None else reopenable(probe),
            "method": {
                "name": plan.method,
                "family": learner.family,
                "paper": learner.paper,
                "supervised": learner.supervised,
                "encoder": learner.deployed_role,
            },
            "encoder": None if own_encoder is not None else getattr(learner.encoder, "config", None),
            "views": packed,
            "seed": seed,
        }
        if budget is not None:
            config["budget"] = budget
        if (documents := token_count(source)) is not None:
            config["documents"] = documents._asdict()
        if source.lengths is not None:
            config["padding"] = round(Loader(source, batch_size=context.batch_size, epochs=1, seed=seed).padding(), 4)
        if first and (is_unused(folder) or (resume and (folder / RunConfig.FILE).is_file())):
            held.enter_context(training_lock(folder))  # the helper processes of this training share it
        run = _begun(folder, config, precision, threads, longer=epochs is not None) if begun_in is not None else None
        begun_here = run is None and first
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        if run is not None and (known := run.config["source"].get("fingerprint")):
            changed = changes(known, config["source"]["fingerprint"])
            require(changed is None, "data", f"those that {folder} was begun with", f"others: {changed}", OTHER_DATA)
        if run is not None and run.config["recipe"]["epochs"] < plan.epochs:
            step = step_of(last) if (last := newest(run.path / "checkpoints")) else 0
            if run.finished and not step:
                raise UserError(f"{folder} has no sound checkpoint to go on from: name another folder with --out")
            _extend(run, plan.epochs, step=step, now=now, save=first)
            tell(
                f"{folder}: extended from {run.config['extensions'][-1]['from_epochs']} to {plan.epochs} epochs: step "
                f"{step} is followed by the {plan.schedule} schedule of {context.steps} steps",
                show=progress,
            )
        if run is None:
            if launched_processes() > 1:
                planned = unmeasured_plan(precision=precision, threads=wanted)
            planned = planned or fastest_plan(learner, context, precision=precision, threads=wanted)
            machine["precision"] = planned.precision
            if precision == "auto":
                command += f" --precision {planned.precision}"
            if threads == "auto" and planned.threads != here:
                command += f" --threads {planned.threads}"
            # The number of threads decides how sums are split, and so their last bits.
            made = {"command": command, "created": now, "threads": planned.threads}
            # Processes that begin together: one creates the run, the others only know of it.
            run = Run.create(folder, config | made | machine) if first else Run(folder, config | made | machine)
            for name, text in files.items() if first else ():
                write_text(run.path / name, text)
            if plan.weights is not None and first:
                save_initial_weights(run.path, merge_low_rank(copy.deepcopy(learner.encoder)))
        elif run.finished and first:
            run.load_encoder(merge_low_rank(learner.encoder))
            run.keep(learner.encoder, views)
            return run
        if first:
            ChanceLevels(chance).save(run.path)
            write_text(run.path / "recipe.yaml", plan.to_yaml())
            Skipped(source.skipped).save(run.path)
        tell(f"{source.name}: {count_of(len(source), 'sample')}{skipped_note(source)}", show=progress)
        tell_understood(source, show=progress)
        tell_notes(learner.notes, show=progress)
        if documents is not None and documents.cut:
            remedy = "--max-tokens N uses more of each, the methods bert and gpt use all"
            tell(f"{documents}; {remedy}", show=progress)
        elif documents is not None and documents.blocks is not None:
            tell(str(documents), show=progress)
        left_out = context.samples - context.steps_per_epoch * context.batch_size
        if left_out > 0 and learner.inseparable == 1:  # episodes are drawn from all samples
            tell(
                f"each epoch leaves out {left_out:,} of {context.samples:,} samples: they fill no batch", show=progress
            )
        tell(f"{plan.method}, {plan.encoder}, {run.config['precision']} -> {run.path}", show=progress)
        used = here if shared_out else run.config.get("threads", here)
        if used != here and not begun_here:
            tell(f"threads: {used}, as the training was begun with, not the {here} of this process", show=progress)
        elif used != here and threads == "auto":
            tell(
                f"threads: {used}, which is faster now than {here}: other programs keep this machine busy",
                show=progress,
            )
        held.enter_context(threads_of(used))
        tell(f"views: {views}", show=progress)
        for line in loaded:
            tell(line, show=progress)
        if context.sizes is not None:
            tell(f"views grow {context.sizes}", show=progress)
        if context.freeze_steps:
            tell(
                f"the heads learn alone for {context.freeze_steps:,} of {count_of(context.steps, 'step')}",
                show=progress,
            )
        kept = run.config.get("budget")
        if kept is not None:
            spent, epoch = (f"{kept[name]:.0f} s" for name in ("spent_seconds", "seconds_per_epoch"))
            line = f"budget: {count_of(kept['minutes'], 'minute')}, of which reading and measuring took {spent}"
            tell(f"{line}; {count_of(run.config['recipe']['epochs'], 'epoch')} of about {epoch}", show=progress)
        if "padding" in config:
            tell(f"padding: {config['padding']:.1%} of the tokens in batches", show=progress)

        # The training, and what stays of it.
        begun_epochs = next((each["from_epochs"] for each in run.config.get("extensions", ())), plan.epochs)
        try:
            fitted = fit(
                learner,
                source,
                plan,
                run.path,
                seed=seed,
                precision=run.config["precision"],
                # How many processes there are decides no more than rounding: a resumed training may have others.
                devices=run.config["devices"] if machine["devices"] == "auto" else machine["devices"],
                strategy=run.config["strategy"] if machine["strategy"] == "auto" else machine["strategy"],
                num_nodes=num_nodes,
                resume=resume,
                begun_epochs=begun_epochs,
                checkpoint_minutes=checkpoint_minutes,
                chance=chance,
                probe=ask,
                progress=progress,
                callbacks=callbacks,
            )
            if fitted.interrupted:
                where = f"stopped at step {fitted.step} of {fitted.steps}"
                raise Interrupted(f"{where}; to go on: {run.config['command']} --resume")
            kept_encoder = merge_low_rank(learner.deployed_encoder).requires_grad_(True)  # a teacher's has no gradients
            run.keep(kept_encoder, views)
            if first:
                speed = {"seconds": round(fitted.seconds, 1), "samples_per_second": round(fitted.samples_per_second, 1)}
                run.config |= speed
                if kept is not None:
                    used = (kept["spent_seconds"] + fitted.seconds) / 60
                    kept["used_minutes"] = round(used, 2)
                    tell(f"budget: {used:.1f} of {count_of(kept['minutes'], 'minute')} used", show=progress)
                if found := lidar_of(learner, source):
                    run.config["lidar"] = found
                run.config.save(run.path)
                save_gallery(run, kept_encoder, source, views, labelled=False)
                if figures := figures_of(
                    learner, source.read(order(len(source), seed=seed, epoch=begun_epochs)[:PAIRS])
                ):
                    figures.save(run.path)
                run.save(kept_encoder, views)
                for extension in run.config.get("extensions", ()):
                    extension["finished"] = True
                    run.config.save(run.path)
        except UserError:
            if begun_here and not run.history.rows:
                shutil.rmtree(run.path)  # nothing was trained: the corrected command finds the place free
            raise
        except OSError as error:
            if reason := disk_trouble(error):
                last = newest(run.path / "checkpoints")
                kept = f"the last good checkpoint stays: {last}" if last else "there is no checkpoint yet"
                raise UserError(f"could not write into {run.path}: {reason}; {kept}; fix it, then --resume") from error
            raise
    return run


PARAMETERS = tuple(
    name for name in pretrain.__annotations__ if name not in ("hyperparameters", *ONLY_FROM_PYTHON, "return")
)
"""The options of `pretrain` besides hyperparameters."""


def _extend(run: Run, epochs: int, *, step: int, now: str, save: bool) -> None:
    """Give a run more epochs: it is not finished until they are done, and keeps what it had in `extensions`."""
    config = run.config
    before = config["recipe"]["epochs"]
    entry = {"from_epochs": before, "epochs": epochs, "step": step, "created": now, "finished": False}
    for name in ("seconds", "samples_per_second"):
        if name in config:
            entry[name] = config.pop(name)
    config.pop("lidar", None)  # of the encoder before
    config["extensions"] = [*config.get("extensions", ()), entry]
    config["recipe"] = {**config["recipe"], "epochs": epochs}
    config["command"] = _with_epochs(config["command"], epochs)
    if save:
        config.save(run.path)
        evaluation = run.path / Evaluation.FILE
        if evaluation.exists():  # it is of the encoder before
            evaluation.replace(evaluation.with_stem(f"{evaluation.stem}-{before}-epochs"))


def _planned_before(folder: Path, plan: Recipe, minutes: float) -> Recipe:
    """The recipe with what the run in `folder` was planned with when it was begun with as many minutes."""
    config = RunConfig.load(folder)
    begun = (config.get("budget") or {}).get("minutes")
    what = count_of(config["recipe"]["epochs"], "epoch") if begun is None else count_of(begun, "minute")
    if begun != minutes:
        raise _begun_otherwise(folder, config["command"], what, f"with {count_of(minutes, 'minute')}")
    said = {name: config["recipe"].get(name) for name in PLANNED}
    if plan.encoder != "auto":
        del said["encoder"]
    return plan.with_(**said)


def _with_epochs(command: str, epochs: int) -> str:
    """A command line with another number of epochs."""
    words = shlex.split(command)
    if "--epochs" in words:
        words[words.index("--epochs") + 1] = str(epochs)
    else:
        words += ["--epochs", str(epochs)]
    return shlex.join(words)


def _begun_otherwise(folder: Path, command: str, begun: str, asked: str) -> UserError:
    return UserError(
        f"{folder} was begun with {begun}, not {asked}: resume it as it was (`{command} --resume`), or name "
        "another folder with --out"
    )


def _begun(folder: Path, config: dict[str, Any], precision: str, threads: int | str, *, longer: bool) -> Run | None:
    """The run to go on with, if it was begun with the same configuration; None when nothing was begun.

    `longer`: it may have fewer epochs.
    """
    if is_unused(folder):
        return None
    run = Run.open(folder)
    asked_data = config["data"]

    def flat(config: dict[str, Any]) -> dict[str, Any]:
        recipe = Recipe().to_dict() | config["recipe"]  # that of an earlier version has fewer fields
        read = {
            name: list(value) if isinstance(value, tuple) else value for name, value in config["read_options"].items()
        }
        # The same data is compared by its fingerprint, where the run has one: that names what changed.
        known = "fingerprint" in run.config["source"] and asked_data == run.config["data"]
        whole = {} if known else {"samples": config["source"]["samples"]}
        whole["seed"] = config["seed"]
        return {**read, **whole, **recipe.pop("options"), **recipe}

    asked, begun = flat(config), flat(run.config)
    if config["data"] and run.config["data"]:
        asked["data"], begun["data"] = config["data"], run.config["data"]
    if precision != "auto":
        asked["precision"], begun["precision"] = precision, run.config["precision"]
    if threads != "auto" and "threads" in run.config:
        asked["threads"], begun["threads"] = threads, run.config["threads"]
    if longer and asked["epochs"] != begun["epochs"]:
        remedy = f"`--resume` extends a training, it shortens none; as it was: `{run.config['command']} --resume`"
        allowed = asked["epochs"] > begun["epochs"]
        require(allowed, "epochs", f"at least the {begun['epochs']} of {folder}", asked["epochs"], remedy)
        begun["epochs"] = asked["epochs"]
    epochs = asked["epochs"] if longer else begun["epochs"]
    again = (
        run.config["command"]
        if epochs == run.config["recipe"]["epochs"]
        else _with_epochs(run.config["command"], epochs)
    )
    for key in asked:
        if asked[key] != begun.get(key):
            raise _begun_otherwise(folder, again, f"{key} {shown(begun.get(key))}", shown(asked[key]))
    return run
