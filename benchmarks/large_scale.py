"""Trainings on 8 x 8 GPUs, on paper: the memory of a rank, what ranks tell each other in a step, and operations.

    python -m benchmarks.large_scale [--ranks 64] [--node 8] [--json FILE]

Nothing is trained. The methods of `imagenet-mae` and `imagenet-simclr` are built of fake tensors, with a shape and
no values, and one forward pass in bfloat16 autocast counts what autograd keeps for the backward pass, and the
multiplications. The rest are formulas, which are the functions below.

- weights, gradients and the two moments of AdamW are float32; LARS has one moment;
- `ddp` holds all of them on each rank, and the gradients once more in buckets; `fsdp` holds a part of each, and two
  layers at a time in full;
- a ring of W ranks gathers n bytes with n (W - 1) / W received by each, and sums them with twice as many.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from likewise.encoders.image import image_encoder
from likewise.methods import build_method
from likewise.methods.base import Method
from likewise.training.recipe import Recipe, load_recipe

FLOAT, GB, MB = 4, 1e9, 1e6
SIMCLR_BATCH, MICRO_BATCH = 65_536, 64
LINKS = (50e9, 1.25e9)
"""Bytes a second that a rank receives: 400 Gbit/s for each GPU, and 10 Gbit/s."""


class Pass(NamedTuple):
    """A forward pass of some samples."""

    kept: int
    """Bytes that autograd keeps for the backward pass, parameters apart."""
    operations: int
    """Floating-point operations of its matrix products and convolutions."""


def measured(method: nn.Module, work: Callable[[], Tensor]) -> Pass:
    """What a forward pass keeps and computes."""
    own = {parameter.untyped_storage()._cdata for parameter in method.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage()._cdata] = x
        return x

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        torch.autocast("cpu", torch.bfloat16),
        FlopCounterMode(display=False) as counter,
    ):
        loss = work()
    del loss
    sizes = [x.untyped_storage().nbytes() for storage, x in kept.items() if storage not in own]
    return Pass(sum(sizes), counter.get_total_flops())


def built(name: str) -> tuple[Method, Recipe]:
    """The method of a recipe, of tensors without values."""
    recipe = load_recipe(name)
    assert recipe.size is not None
    with torch.device("meta"):
        encoder = image_encoder(recipe.encoder, size=recipe.size, channels=3)
        method = build_method(recipe.method, encoder, recipe.options)
    return method, recipe


def state(parameters: int, moments: int, ranks: int = 1) -> dict[str, float]:
    """Bytes of a rank that holds one of so many parts of the weights, with gradients and moments."""
    each = FLOAT * parameters / ranks
    return {"weights": each, "gradients": each, "moments": moments * each}


def gathered(size: float, ranks: int) -> float:
    """Bytes that a rank receives where so many are gathered from all."""
    return size * (ranks - 1) / ranks


def summed(size: float, ranks: int) -> float:
    """Bytes that a rank receives where so many are summed over all."""
    return 2 * gathered(size, ranks)


def nt_xent_traffic(samples: int, dim: int, ranks: int) -> float:
    """Bytes that a rank receives in a step of exact NT-Xent: the embeddings of two views, and their gradients."""
    size = 2 * samples * dim * FLOAT
    return gathered(size, ranks) + summed(size, ranks)


def nt_xent_operations(samples: int, dim: int) -> int:
    """Of a rank, which computes the loss of the whole batch: half of the symmetric matrix, twice, and its gradients."""
    rows = 2 * samples
    return 4 * rows**2 * dim


def even_batch(operations: float, dim: int) -> int:
    """The batch whose loss takes so many operations, to three digits."""
    return int(round(math.sqrt(operations / (16 * dim)), -3))


def statistics(channels: int, ranks: int) -> float:
    """Bytes that a rank receives for a BatchNorm, twice forward (see `likewise.losses.gradient_cache`) and backward."""
    return 2 * gathered(ranks * (2 * channels + 1) * FLOAT, ranks) + summed(2 * channels * FLOAT, ranks)


def over_links(size: float) -> str:
    """A size, and how long it takes."""
    return f"{size / MB:,.1f} MB: " + ", ".join(f"{1e3 * size / link:,.0f} ms at {link / GB:g} GB/s" for link in LINKS)


def largest_layer(module: nn.Module) -> int:
    """Parameters of the largest layer that FSDP gathers as one: a block of a Transformer."""
    return max(
        sum(p.numel() for p in block.parameters()) for block in module.modules() if type(block).__name__ == "Block"
    )


def mae(ranks: int, node: int) -> dict[str, Any]:
    """The memory of a rank of `imagenet-mae`, in bytes, by strategy."""
    method, recipe = built("imagenet-mae")
    assert recipe.batch_size is not None
    assert recipe.size is not None
    batch = recipe.batch_size // ranks
    with FakeTensorMode(allow_non_fake_inputs=True):
        method.to_empty(device="cpu")
        view = torch.zeros(batch, 3, recipe.size, recipe.size)
        shuffle = torch.zeros(batch, method.patches, dtype=torch.long)
        step = measured(method, lambda: method.objective(view, shuffle)["loss"])
    parameters = sum(p.numel() for p in method.parameters() if p.requires_grad)
    layer = largest_layer(method)
    memory = {"ddp": state(parameters, 2) | {"buckets": float(FLOAT * parameters)}}
    for name, parts in (("fsdp in a node", node), ("fsdp over all", ranks)):
        memory[name] = state(parameters, 2, parts) | {"layers in full": 2.0 * FLOAT * layer}
    for of in memory.values():
        of["activations"] = float(step.kept)
        of["sum"] = sum(of.values())
    return {
        "parameters": parameters,
        "encoder": sum(p.numel() for p in method.encoder.parameters()),
        "batch": batch,
        "memory": memory,
        "gradients": summed(FLOAT * parameters, ranks),
        "operations": 3 * step.operations,
    }


def simclr(ranks: int) -> dict[str, Any]:
    """The memory, traffic and operations of a rank of `imagenet-simclr` at a batch of 65,536."""
    method, recipe = built("imagenet-simclr")
    assert recipe.size is not None
    samples, dim = SIMCLR_BATCH // ranks, recipe.options["projection_dim"]
    with FakeTensorMode(allow_non_fake_inputs=True):
        method.to_empty(device="cpu")
        view = torch.zeros(MICRO_BATCH, 3, recipe.size, recipe.size)
        step = measured(method, lambda: method.embed(view).sum())
    parameters = sum(p.numel() for p in method.parameters())
    channels = [layer.num_features for layer in method.modules() if isinstance(layer, _BatchNorm)]
    views = 2 * samples
    return {
        "parameters": parameters,
        "samples": samples,
        "state": sum(state(parameters, 1).values()) + FLOAT * parameters,
        "activations of a micro-batch": step.kept,
        "activations of all": step.kept / MICRO_BATCH * views,
        "input": views * 3 * recipe.size**2 * FLOAT,
        "embeddings": 2 * SIMCLR_BATCH * dim * FLOAT,
        "nt-xent": nt_xent_traffic(SIMCLR_BATCH, dim, ranks),
        "gradients": summed(FLOAT * parameters, ranks),
        "batch norms": len(channels),
        "waits": 3 * len(channels) * (views // MICRO_BATCH),  # twice forward, and backward
        "statistics": views // MICRO_BATCH * sum(statistics(c, ranks) for c in channels),
        "encoder operations": 4 * step.operations / MICRO_BATCH * views,  # twice forward, and backward
        "loss operations": nt_xent_operations(SIMCLR_BATCH, dim),
        "even": even_batch(4 * step.operations / MICRO_BATCH * views, dim),
    }


def lines(found: dict[str, Any], ranks: int, node: int) -> list[str]:
    """The figures as the guide has them."""
    a, b = found["mae"], found["simclr"]
    names = list(a["memory"])
    parts = ["weights", "gradients", "moments", "buckets", "layers in full", "activations", "sum"]
    rows = [
        f"imagenet-mae: {a['parameters'] / MB:.1f} M parameters, {a['encoder'] / MB:.1f} M of them in the encoder; "
        f"{a['batch']} samples a rank on {ranks} GPUs",
        "",
        f"| GB a rank | {' | '.join(names)} |",
        f"| --- |{' --- |' * len(names)}",
    ]
    for part in parts:
        values = [a["memory"][name].get(part, 0.0) / GB for name in names]
        rows.append(f"| {part} | {' | '.join(f'{value:.2f}' for value in values)} |")
    return [
        *rows,
        "",
        "| of a rank, with ddp | |",
        "| --- | --- |",
        f"| received for gradients of weights | {over_links(a['gradients'])} |",
        f"| operations of a step | {a['operations'] / 1e12:.1f} TFLOP, two thirds of them backward |",
        "",
        f"imagenet-simclr, batch {SIMCLR_BATCH:,}: {b['parameters'] / MB:.1f} M parameters, {b['samples']:,} samples a "
        "rank",
        "",
        "| of a rank | |",
        "| --- | --- |",
        f"| weights, gradients, moment, buckets | {b['state'] / GB:.2f} GB |",
        f"| both views, float32 | {b['input'] / GB:.2f} GB |",
        f"| activations of {MICRO_BATCH} views | {b['activations of a micro-batch'] / GB:.2f} GB |",
        f"| activations of all views at once | {b['activations of all'] / GB:.1f} GB |",
        f"| embeddings of all ranks | {b['embeddings'] / MB:.1f} MB |",
        f"| received for NT-Xent: embeddings and their gradients | {over_links(b['nt-xent'])} |",
        f"| received for gradients of weights | {over_links(b['gradients'])} |",
        f"| received for {b['batch norms']} BatchNorms of micro-batches | {over_links(b['statistics'])} |",
        f"| times that they wait for all ranks | {b['waits']:,} |",
        f"| operations of the encoder, in micro-batches | {b['encoder operations'] / 1e12:.1f} TFLOP |",
        f"| operations of the loss of the whole batch | {b['loss operations'] / 1e12:.1f} TFLOP |",
        f"| batch with as many for the loss as for the encoder, at {b['samples']:,} a rank | {b['even']:,} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Trainings on many GPUs, on paper.")
    parser.add_argument("--ranks", type=int, default=64, help="GPUs (64)")
    parser.add_argument("--node", type=int, default=8, help="of them in a machine (8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the figures there")
    arguments = parser.parse_args()
    found = {"mae": mae(arguments.ranks, arguments.node), "simclr": simclr(arguments.ranks)}
    print("\n".join(lines(found, arguments.ranks, arguments.node)))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
