"""`export_encoder`: one encoder, one format, one folder, checked before it appears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likewise.console import count_of
from likewise.data.source import Source
from likewise.encoders.text import StaticBody
from likewise.errors import UserError
from likewise.evaluation.features import evenly_spaced
from likewise.exporters.card import write_card
from likewise.exporters.files import CARD, PREPARATION, new_folder, size_of, write_object
from likewise.exporters.formats import GRAPHS, INT8
from likewise.exporters.graphs import onnx_reader, program_reader, traced, write_onnx, write_program
from likewise.exporters.image_models import embedder, state_reader, timm_reader, write_state, write_timm_folder
from likewise.exporters.network import GraphNetwork, graph_network
from likewise.exporters.preparation import describe
from likewise.exporters.quantize import Quantized, check_loss, measure, write_int8
from likewise.exporters.subject import Subject
from likewise.exporters.text_models import (
    TOKENIZER,
    body_of,
    static_reader,
    transformers_reader,
    write_sentence_transformers_folder,
    write_tokenizer,
    write_transformers_folder,
)

MOST_DIFFERENCE = 1e-3
CHECKED = 64  # samples that the export and the run both embed
CALIBRATED = 256  # samples that ranges of activations are measured on
COMPARED = 1000  # samples that eight bits are measured on
ONNX, PROGRAM, ONNX_INT8 = "model.onnx", "model.pt2", "model.int8.onnx"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ExportedEncoder:
    """An encoder in the format of another library."""

    out: str
    """The folder."""
    format: str
    encoder: str
    modality: str
    dim: int
    files: list[str]
    bytes: int
    max_difference: float
    """Between its embeddings and the run's, over the samples that were checked."""
    checked: int
    """How many samples these are."""
    on_data: bool
    """Whether they are of the run's data; else they are random."""
    opset: int | None
    """Of ONNX."""
    quantized: Quantized | None

    def __str__(self) -> str:
        lines = [
            f"{self.out}: {self.encoder}, {self.dim} dimensions, {self.format}"
            + ("" if self.opset is None else f" (opset {self.opset})")
            + f", {self.bytes / 2**20:.1f} MiB",
            f"  {', '.join(self.files)}",
            f"  {_difference(self.max_difference, self.checked, self.on_data)}",
        ]
        return "\n".join(lines if self.quantized is None else [*lines, f"  {self.quantized}"])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_encoder(
    subject: Subject,
    to: str,
    out: Path,
    *,
    source: Source | None,
    version: str,
    quantize: str | None = None,
    allow_lossy: bool = False,
    tell: Tell = lambda _: None,
) -> ExportedEncoder:
    """Write an encoder and its model card into a new folder.

    Args:
        subject: what is exported.
        to: a format that it can take.
        out: the folder, which is not there yet or empty.
        source: samples of its modality, to check with; None where there are none, then random ones are taken.
        version: of likewise, for the card.
        quantize: None, or int8 with ONNX.
        allow_lossy: keep eight bits that cost more than 1 point of accuracy, or move the embeddings.
        tell: what is being done, a line each.

    Raises:
        UserError: where it can't be written, or the embeddings are not the run's; then nothing is left.
    """
    network = graph_network(subject)
    samples = _samples(network, source, CHECKED)
    with new_folder(out) as folder:
        tell(f"writing {subject.name} as {to}")
        model, opset, embed = _write(subject, network, to, folder, samples)
        expected = _expected(network, samples)
        found = _compared(embed, samples if to in GRAPHS else _view(network, samples), expected)
        _check(found, subject, to)
        quantized = None
        if quantize == INT8:
            tell(f"quantizing to {INT8}")
            quantized = _quantize(network, source, folder)
            if not allow_lossy:
                check_loss(quantized)
            model = ONNX_INT8
        write_object(folder / PREPARATION, describe(subject, to))
        sentence = f"{_difference(found, len(samples), source is not None)}."
        card = write_card(subject, to, model=model, check=sentence, version=version, quantized=quantized, opset=opset)
        (folder / CARD).write_text(card, encoding="utf-8")
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        size = size_of(folder)
    name, count = subject.name, len(samples)
    return ExportedEncoder(
        str(out),
        to,
        name,
        subject.modality,
        subject.dim,
        files,
        size,
        found,
        count,
        source is not None,
        opset,
        quantized,
    )


def _write(
    subject: Subject, network: GraphNetwork, to: str, folder: Path, samples: Tensor
) -> tuple[str, int | None, Callable[[Tensor], Tensor]]:
    """Write the model; returns the name of its file, the opset of ONNX, and what reads it back."""
    if to in GRAPHS:
        if subject.modality == "text":
            write_tokenizer(subject, folder / TOKENIZER)
        program = traced(network, samples, subject.name)
        if to == "onnx":
            opset = write_onnx(program, network, folder / ONNX)
            return ONNX, opset, onnx_reader(folder / ONNX)
        write_program(program, folder / PROGRAM)
        return PROGRAM, None, program_reader(folder / PROGRAM)
    if to == "torch":
        write_state(subject, folder)
        return "", None, embedder(state_reader(subject, folder))
    if to == "timm":
        write_timm_folder(subject, folder)
        return "", None, embedder(timm_reader(folder))
    write = write_transformers_folder if to == "transformers" else write_sentence_transformers_folder
    write(subject, folder)
    read = static_reader if isinstance(body_of(subject), StaticBody) else transformers_reader
    return "", None, read(subject, folder)


def _samples(network: GraphNetwork, source: Source | None, count: int) -> Tensor:
    """Prepared samples: of the data, spread over it, or random ones."""
    if source is None:
        return network.drawn(count, torch.Generator().manual_seed(0))
    return network.prepared(source.read(evenly_spaced(len(source), count)))


def _view(network: GraphNetwork, samples: Tensor) -> Tensor:
    """What the encoder itself takes of prepared samples."""
    return (samples.float() / 255 - network.mean) / network.std if hasattr(network, "mean") else samples  # type: ignore[operator]


def _expected(network: GraphNetwork, samples: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in samples.split(CHECKED)])


def _compared(embed: Callable[[Tensor], Tensor], samples: Tensor, expected: Tensor) -> float:
    """The largest difference, with one sample at a time and with several."""
    alone, others = embed(samples[:1]), embed(samples[1:]) if len(samples) > 1 else None
    found = alone if others is None else torch.cat([alone, others])
    if found.shape != expected.shape or not found.isfinite().all():
        return float("inf")
    return float((found - expected).abs().max())


def _check(found: float, subject: Subject, to: str) -> None:
    if not found <= MOST_DIFFERENCE:
        raise UserError(
            f"the embeddings of {subject.name} as {to} must differ by at most {MOST_DIFFERENCE:g} from the run's, got "
            f"{found:.2g}: nothing was written; take another --to"
        )


def _difference(found: float, count: int, on_data: bool) -> str:
    what = f"{count_of(count, 'sample')} of the run's data" if on_data else f"{count:,} random samples"
    return f"Its embeddings of {what} " + (
        f"differ from the run's by at most {found:.1g}" if found else "equal the run's"
    )


def _quantize(network: GraphNetwork, source: Source | None, folder: Path) -> Quantized:
    paths = folder / ONNX, folder / ONNX_INT8
    kind = write_int8(network, *paths, _samples(network, source, CALIBRATED))
    labels = None
    if source is not None and source.classes and not source.slow_labels:
        labels = source.labels()[evenly_spaced(len(source), COMPARED)]
    readers = onnx_reader(paths[0]), onnx_reader(paths[1])
    return measure(kind, paths, readers, _samples(network, source, COMPARED), labels)
