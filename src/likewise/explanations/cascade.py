"""Cascading randomization: how maps change while the stages of an encoder are newly initialized, the last one first.

A map of what was learned is lost with the weights that hold it; one that stays is a map of the data alone
(Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292, section 3.1).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from likewise.explanations.sample import ExplainedSample

MOST_STAGES = 6


class Stage(NamedTuple):
    """A part of an encoder that a sample passes between others."""

    name: str
    """Of its first module and its last one."""
    tensors: list[str]
    """The names of its parameters and buffers in the encoder."""


def encoder_stages(sample: ExplainedSample) -> list[Stage]:
    """The stages of the sample's encoder, in the order in which the sample passes them.

    Rows (`Sequential` and `ModuleList`) and modules with rows in them are divided into their children, but not the
    blocks, which are what rows consist of. What has no matrix, such as a norm, or is not passed belongs to what is
    before it. Neighbours are joined where there are more than `MOST_STAGES`. What belongs to no child, such as a class
    token, is of the first stage.
    """
    encoder, order = sample.encoder, _order_of_use(sample)

    def first_use(block: tuple[str, nn.Module]) -> int:
        return min(order.get(module, len(order)) for module in block[1].modules())

    blocks: list[list[tuple[str, nn.Module]]] = []
    for block in sorted(_blocks(encoder), key=first_use) or [("", encoder)]:
        is_passed, has_matrix = first_use(block) < len(order), any(p.ndim > 1 for p in block[1].parameters())
        if not blocks or (is_passed and has_matrix):
            blocks.append([])
        blocks[-1].append(block)
    count = min(len(blocks), MOST_STAGES)
    stages = []
    for start, end in pairwise(len(blocks) * place // count for place in range(count + 1)):
        modules = [block for some in blocks[start:end] for block in some]
        first, last = modules[0][0], modules[-1][0]
        tensors = [tensor for name, module in modules for tensor in _tensors(module, name)]
        stages.append(Stage(first if first == last else f"{first} to {last}", tensors))
    of_children = {tensor for stage in stages for tensor in stage.tensors}
    stages[0].tensors.extend(tensor for tensor in _tensors(encoder) if tensor not in of_children)
    return stages


def stage_by_stage(
    samples: Sequence[ExplainedSample], untrained: Sequence[nn.Module]
) -> Iterator[list[ExplainedSample]]:
    """The samples before copies of their encoders, with the last stage as untrained, then the last two, … all of them.

    The copies go on changing: use each step before the next one. Of two encoders, that with fewer stages is all
    untrained sooner.

    Args:
        samples: one, or two.
        untrained: for each, an encoder of the same architecture with random weights.
    """
    now = list(samples)
    steps = [_renewed(sample, encoder) for sample, encoder in zip(samples, untrained, strict=False)]
    for found in zip_longest(*steps):
        now = [sample if new is None else new for sample, new in zip(now, found, strict=True)]
        yield now


def _renewed(sample: ExplainedSample, untrained: nn.Module) -> Iterator[ExplainedSample]:
    """One sample before a copy of its encoder that loses a stage after the other."""
    mixed = copy.deepcopy(sample.encoder)
    ours, new = _tensors(mixed), _tensors(untrained)
    for stage in reversed(encoder_stages(sample)):
        with torch.no_grad():
            for name in stage.tensors:
                ours[name].copy_(new[name])
        yield sample.before(mixed)


def _order_of_use(sample: ExplainedSample) -> dict[nn.Module, int]:
    """The modules that the sample passes, by when it first does."""
    order: dict[nn.Module, int] = {}

    def note(module: nn.Module, given: Any) -> None:
        order.setdefault(module, len(order))

    handles = [module.register_forward_pre_hook(note) for module in sample.encoder.modules()]
    try:
        sample.embedding()
    finally:
        for handle in handles:
            handle.remove()
    return order


def _blocks(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """What a module is divided into, with names from the encoder on; what has no weights is left out."""
    for child_name, child in module.named_children():
        whole_name = f"{name}.{child_name}" if name else child_name
        if _is_row(child) or (not _is_row(module) and any(_is_row(each) for each in child.modules())):
            yield from _blocks(child, whole_name)
        elif _tensors(child):
            yield whole_name, child


def _is_row(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) and not isinstance(module, ParametrizationList)


def _tensors(module: nn.Module, name: str = "") -> dict[str, Tensor]:
    """Parameters and buffers, also those that are not saved, by their names."""
    how: dict[str, Any] = {"prefix": name, "remove_duplicate": False}
    return dict(chain(module.named_parameters(**how), module.named_buffers(**how)))
