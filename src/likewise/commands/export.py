"""`likewise export`: the encoder of a run in the format of another library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.commands import FromPython
from likewise.console import tell

if TYPE_CHECKING:
    from likewise.exporters.write import ExportedEncoder


def export(
    run: Any,
    data: Any = None,
    *,
    to: str,
    out: str | Path,
    modality: str | None = None,
    quantize: Literal["int8"] | None = None,
    allow_lossy: bool = False,
    root: str | Path | None = None,
    encoder: FromPython = None,
    progress: bool = True,
) -> ExportedEncoder:
    """Write the encoder of a run in the format of another library, with a model card.

    The embeddings are compared with the run's on samples of its data. Where they differ by more than 0.001, nothing is
    written. What is written needs no likewise.

    Args:
        run: a finished run, or its folder.
        data: samples to compare the embeddings on: see `likewise pretrain`; the run's own data if not given.
        to: torch (weights for torchvision or timm), onnx, timm, transformers, sentence-transformers or torch.export.
        out: a new folder.
        modality: of a run on pairs, the half that is exported: image, text or audio.
        quantize: with onnx, also write the network with weights of 8 bits, and measure what that costs.
        allow_lossy: keep it where it costs more than 1 point of accuracy, or moves the embeddings.
        root: the folder with the files of a named data set.
        encoder: from Python, the module that was trained, if it was your own.
        progress: show progress on stderr.

    Returns:
        The folder, its files, the format, and the largest difference from the run's embeddings.

    Raises:
        UserError: for a format that the encoder can't take, a folder that is not empty, or a run that is not finished.
    """
    import likewise
    from likewise.commands.options import as_run, name_own_data, open_training_data, read_options_for, read_options_of
    from likewise.data.open import open_source
    from likewise.errors import UserError
    from likewise.exporters.files import check_unused
    from likewise.exporters.formats import check_fits, check_format
    from likewise.exporters.subject import subject_of
    from likewise.exporters.write import export_encoder

    run = as_run(run)
    check_format(to)
    if quantize is not None and to != "onnx":
        raise UserError(f"--quantize applies to --to onnx, got {to}: leave it out")
    if allow_lossy and quantize is None:
        raise UserError("--allow-lossy applies to --quantize int8: leave it out")
    check_unused(Path(out))
    if encoder is not None:
        run.load_encoder(encoder)
    subject = subject_of(run, modality)
    check_fits(to, subject)
    if data is None:
        name_own_data(run, None if root is None else str(root))
        source = open_training_data(run, root, progress)
    else:
        source = open_source(
            data, root=root, read_options=read_options_for(run, read_options_of(), data), progress=progress
        )
    if source is not None and source.parts:
        source = next(part for part in source.parts if part.modality == subject.modality)
    if source is not None and source.modality != subject.modality:
        raise UserError(f"data must be {subject.modality} samples, as the encoder takes, got {source.modality}")
    if source is None and quantize is not None:
        raise UserError(
            f"--quantize needs samples, and the data of {run.path} was in memory, or is gone: name some after the run"
        )
    if source is None:
        tell(f"the data of {run.path} was in memory, or is gone: random samples are compared", show=progress)
    return export_encoder(
        subject,
        to,
        Path(out),
        source=source,
        version=likewise.__version__,
        quantize=quantize,
        allow_lossy=allow_lossy,
        tell=lambda line: tell(line, show=progress),
    )
