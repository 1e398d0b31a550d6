"""Graphs of operations, which need no code of the architecture: ONNX and torch.export."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.errors import UserError, needs
from likewise.exporters.network import GraphNetwork

EXAMPLES = 3  # samples that a network is traced with; any number of them can be embedded
MOST_IN_ONE_FILE = 450_000_000  # numbers: a file of protobuf has less than 2 GiB
OUTPUT = "embeddings"
EXTRA = "export"

Embed = Callable[[Tensor], Tensor]
"""From prepared samples to embeddings."""


def traced(network: GraphNetwork, samples: Tensor, name: str) -> torch.export.ExportedProgram:
    """The operations of a network, for any number of samples.

    Args:
        samples: some that it could be given.
        name: of its encoder, for messages.

    Raises:
        UserError: where an architecture does things that no graph holds.
    """
    examples = samples[torch.arange(EXAMPLES) % len(samples)]
    try:
        with torch.no_grad(), quiet():
            network(examples)  # what is computed once, such as the weights of bands, is no part of the graph
            program = torch.export.export(
                network, (examples,), dynamic_shapes={network.input_name: network.variable()}, strict=False
            )
    except Exception as error:  # of many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{name} can't be traced, so no graph can hold it: {reason[:300]}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a .pt2 file of torch.export."""
    buffer = io.BytesIO()  # torch's own writing of files ends the process where the disk is full
    with quiet():
        torch.export.save(program, buffer)
    path.write_bytes(buffer.getbuffer())


def program_reader(path: Path) -> Embed:
    """What a .pt2 file that was just written does."""
    with quiet():
        module = torch.export.load(path).module()

    def embed(samples: Tensor) -> Tensor:
        with torch.no_grad():
            return module(samples)

    return embed


def write_onnx(program: torch.export.ExportedProgram, network: GraphNetwork, path: Path) -> int:
    """Write a file of ONNX; returns its opset.

    Raises:
        UserError: for an operation that ONNX does not have, and without the extra `export`.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        needs(module, EXTRA)
    try:
        with quiet():
            made: Any = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[network.input_name],
                output_names=[OUTPUT],
                dynamic_shapes={network.input_name: network.variable()},
                verbose=False,
            )
    except Exception as error:  # of many kinds
        reason = next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), "")
        raise UserError(f"ONNX can't hold the network: {reason.strip()[:300]}; take --to torch.export") from error
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()  # lines of code
    numbers = sum(tensor.numel() for tensor in program.state_dict.values())
    with quiet():
        made.save(str(path), external_data=numbers > MOST_IN_ONE_FILE)
    return made.model.opset_imports[""]


def onnx_reader(path: Path) -> Embed:
    """What a file of ONNX does in ONNX Runtime, on the CPU."""
    runtime = needs("onnxruntime", EXTRA)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()

    def embed(samples: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(session.run(None, {entry.name: samples.numpy()})[0]))

    return embed


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the lines of exporters about themselves; what they raise is told."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
