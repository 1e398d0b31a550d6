"""What all methods share: make views, ask the objective, log what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn


@runtime_checkable
class Views(Protocol):
    """How a modality makes views of a whole batch at once, on the batch's device (see `likewise.views`).

    Generators are on the CPU: the same seed draws the same views whatever the device.
    """

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        """One random view of the batch."""

    def plain(self, batch: Any) -> Any:
        """The view without randomness, for evaluation and use."""

    def gentle(self, batch: Any, generator: torch.Generator) -> Any:
        """A light random view that keeps a sample's label, for training with labels."""


def generator_for(*key: int) -> torch.Generator:
    """A generator that is a pure function of `key`, such as (seed, step, rank)."""
    state = np.random.SeedSequence(key).generate_state(2)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


class Method(L.LightningModule):
    """An encoder, its heads, and what is asked of views. Subclasses write `objective`; few need more.

    `objective(*views)` returns the loss as a scalar, or a dict of scalars with `"loss"`; the other entries are logged.
    """

    family: ClassVar[str]
    modality: ClassVar[str] = "any"
    paper: ClassVar[str]
    """arXiv id."""
    choose: ClassVar[str]
    """When to choose this method, in one line."""

    encoder: nn.Module
    views: Views
    """Set by whoever builds the method: it comes with the data, not with the objective."""
    smallest_batch: ClassVar[int] = 1

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim: int = encoder.dim  # type: ignore[assignment]
        self.seed = 0
        self.observed: tuple[Tensor, Tensor] | None = None
        self._optimizers: Callable[[Method], Any] | None = None

    def prepare(self, *, seed: int, optimizers: Callable[[Method], Any]) -> None:
        """What training adds: the seed of all randomness, and the optimizers."""
        self.seed, self._optimizers = seed, optimizers

    def make_views(self, batch: Any, generator: torch.Generator) -> tuple[Any, ...]:
        """The views that the objective takes: two independent augmentations, unless the method says otherwise."""
        return self.views(batch, generator), self.views(batch, generator)

    def objective(self, *views: Any) -> Tensor | dict[str, Tensor]:
        raise NotImplementedError

    def embed(self, view: Any) -> Tensor:
        """The embeddings `(n, d)` that the objective compares: those of the head, where there is one."""
        return self.encoder(view)

    def observe(self, first: Tensor, second: Tensor) -> None:
        """Show matched embeddings `(n, d)` to the diagnostics, which say whether the method learns."""
        self.observed = first.detach(), second.detach()

    def chance(self, batch: int) -> dict[str, float]:
        """What the logged figures would be if nothing was learned, for a batch of so many samples."""
        return {}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        key = (self.seed, self.global_step, self.global_rank)
        torch.manual_seed(generator_for(*key).initial_seed())  # dropout and the like, inside the networks
        # Autocast is for networks: in bfloat16 a resampling matrix would move pixels.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            views = self.make_views(batch, generator_for(*key))
        answer = self.objective(*views)
        scalars = answer if isinstance(answer, dict) else {"loss": answer}
        self.log_dict({name: value.detach() for name, value in scalars.items()})
        return scalars["loss"]

    def configure_optimizers(self) -> Any:
        assert self._optimizers is not None, "call prepare() before training"
        return self._optimizers(self)
