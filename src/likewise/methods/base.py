"""The base of all methods: make views, encode them, compute the objective, log its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import lightning as L
import torch
from jaxtyping import Float, Int
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.data.sampling import Sampling, epoch_sampling
from likewise.data.source import Source
from likewise.distributed import rank, world_size
from likewise.losses import encode_cached
from likewise.modules.batch_norm import join_batch_norm, part_batch_norm
from likewise.modules.multi_crop import two_views
from likewise.runs.figures import Figure
from likewise.seeding import generator_for, generator_for_part

EARLY = 0.2  # share of the training before which no degenerate solution is reported
GROWN = 0.75  # share of the steps after which views that grow have their last size
SIZE_STRIDE = 8  # px, from one size of them to the next: each size is prepared for once by libraries of convolutions


@runtime_checkable
class Views(Protocol):
    """How a modality makes views of a whole batch at once, on the batch's device (see `likewise.views`).

    Generators are on the CPU: the same seed draws the same views whatever the device. Views may also have `second`, for
    the second of two views, `local`, of small parts, `captioned`, that a caption still fits, and `of_size`, the same
    views in another size.
    """

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        """One random view of the samples."""

    def clean(self, batch: Any) -> Any:
        """The view without randomness, for evaluation and use."""

    def weak(self, batch: Any, generator: torch.Generator) -> Any:
        """A light random view that keeps a sample's label, for training with labels."""


class ViewSizes(NamedTuple):
    """Height and width, in pixels, of views of images that grow while a training goes on (arXiv:2104.00298).

    The first three quarters of the steps are parted equally among the sizes from `first` on, in strides of 8 px. The
    others have `last`, so that the encoder knows the size at which it is used (arXiv:1906.06423).
    """

    first: int
    last: int
    steps: int
    """Of the whole training."""

    def at(self, step: int) -> int:
        """The size at a step, counted from 0: a function of the step alone, so that a resumed training has the same."""
        return max(size for size, begins in self._begins() if begins <= step)

    def counts(self, until: int | None = None) -> dict[int, int]:
        """How many steps have which size, the smallest first; of the steps before `until`, if given."""
        stop = self.steps if until is None else until
        begins = [*self._begins(), (self.last, self.steps)]
        counted = {size: min(end, stop) - begin for (size, begin), (_, end) in pairwise(begins)}
        return {size: count for size, count in counted.items() if count > 0}

    def pixels(self, until: int | None = None) -> int:
        """Of one view in each step: the work grows with them; of the steps before `until`, if given."""
        return sum(count * size**2 for size, count in self.counts(until).items())

    def __str__(self) -> str:
        grown = self._begins()[-1][1]
        return f"from {self.first} to {self.last} px over {grown:,} of {self.steps:,} steps"

    def _begins(self) -> list[tuple[int, int]]:
        """Each size, and the step that it begins with."""
        growing = range(self.first, self.last, SIZE_STRIDE)
        grown = math.ceil(GROWN * self.steps) if growing else 0
        return [*((size, place * grown // len(growing)) for place, size in enumerate(growing)), (self.last, grown)]


class TrainingContext(NamedTuple):
    """What a method knows of its training."""

    samples: int
    """Number of training samples."""
    batch_size: int
    """Samples of a step, over all processes."""
    steps: int
    steps_per_epoch: int
    seed: int = 0
    micro_batch_size: int | None = None
    """Views that are encoded at once, with the gradients of the whole batch; None for all."""
    read: Callable[[Tensor], Any] | None = None
    """Reads samples by their indices, for methods that pass over them between epochs."""
    freeze_steps: int = 0
    """Steps at the beginning that do not change the encoder: its heads learn first what its known weights give."""
    sizes: ViewSizes | None = None
    """Those of views that grow; None where all have the size of the method's views."""


class Method(L.LightningModule):
    """An encoder, its heads, and an objective on views. Subclasses write `objective`; few need more.

    `objective(*views)` returns the loss as a scalar, or a dict of scalars with `"loss"`; the other entries are logged.
    It encodes with `self.encode`, so that a training can choose how many views are encoded at once.
    """

    family: ClassVar[str]
    modality: ClassVar[str] = "any"
    paper: ClassVar[str]
    """arXiv id."""
    when_to_use: ClassVar[str]
    """When to choose this method, in one line."""

    encoder: nn.Module
    views: Views
    """Set by the builder of the method: views come with the data, not with the objective."""
    min_batch_size: ClassVar[int] = 1
    cross_modal: ClassVar[bool] = False
    """Whether the tracked embeddings are of two kinds, which are only compared with each other."""
    two_encoders: ClassVar[bool] = False
    """Whether the tracked embeddings are those that two encoders give the same view."""
    compares_augmentations: ClassVar[bool] = True
    """Whether it learns to embed random views of a sample alike, so that LiDAR says how well it tells samples apart."""
    any_size: ClassVar[bool] = True
    """Whether its views may grow: nothing beside the encoder, and no figure at chance, belongs to one size of them."""
    accepts_groups: ClassVar[bool] = False
    """Whether it also takes samples of several parts of its modality."""
    whole_documents: ClassVar[bool] = False
    """Whether it learns from all tokens of long texts, in blocks, not from their beginnings only."""
    deployed_role: ClassVar[str] = "trained"
    """What the kept encoder is in the method: `online` beside a momentum copy, `teacher`, or `trained`."""
    sync_batch_norm: ClassVar[bool] = True
    """Whether BatchNorm normalizes by the whole batch, where several processes share it."""
    supervised: bool = False
    """Whether batches need labels."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim: int = encoder.dim  # type: ignore[assignment]
        self.training_context = TrainingContext(samples=0, batch_size=0, steps=0, steps_per_epoch=0)
        self.tracked: tuple[Tensor, Tensor] | None = None
        self._optimizers: Callable[[Method], Any] | None = None

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        """Called before the training begins. Methods that keep something for each sample allocate it here.

        Args:
            context: of the training.
            optimizers: what `configure_optimizers` returns, as a function of the method.

        Raises:
            UserError: when the context does not fit the method's options.
        """
        self.training_context, self._optimizers = context, optimizers

    def sampling(self, source: Source, *, batch_size: int, seed: int) -> Sampling:
        """Which samples each step takes: shuffled epochs, unless the method overrides it.

        A method that learns from episodes, or balances classes, returns a sampling of its own: a pure function of the
        seed and the step (see `likewise.data.sampling.Sampling`). Its `batch_size` and `steps_per_epoch` are those of
        the training. Set `supervised` for batches that bring their labels.

        Args:
            source: the samples, with `source.labels()` where they are labelled.
            batch_size: of the recipe.
            seed: of the training.
        """
        return epoch_sampling(source, batch_size=batch_size, seed=seed)

    @property
    def inseparable(self) -> int:
        """How many samples of a step belong together, one after the other: a process has them all."""
        return 1

    @property
    def notes(self) -> list[str]:
        """What people should know of the samples that steps take, told when a training begins."""
        return []

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        """The arguments of the objective: two independent views, unless the method overrides it.

        Called outside autocast and without gradients. `batch.indices` and `batch.labels` can be passed on from here.
        """
        return two_views(self.views, batch.samples, generator)

    def objective(self, *views: Any) -> Tensor | dict[str, Tensor]:
        """The loss, or a dict of scalars with `"loss"`, of the views that `make_views` returned."""
        raise NotImplementedError

    def encode(self, view: Any, encoder: Callable[[Any], Tensor] | None = None) -> Tensor:
        """The encoder's embeddings `(n, dim)`, in micro-batches where the training asks for it.

        The gradients are those of the whole batch; see `likewise.losses.gradient_cache`, also on BatchNorm.

        Args:
            view: `(n, ...)`.
            encoder: what to call instead of the encoder, for methods that need more than the embedding.
        """
        encoder = encoder or self.encoder
        micro = self.training_context.micro_batch_size
        if micro is None or micro > len(view) or not torch.is_grad_enabled():
            return encoder(view)
        return encode_cached(encoder, view, micro_batch_size=micro)

    def embed(self, view: Any) -> Tensor:
        """The embeddings `(n, d)` that the objective compares: those of the head, where there is one."""
        return self.encode(view)

    def embed_samples(self, indices: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The embeddings of clean samples, read by their indices: to fill a memory bank in one pass."""
        assert self.training_context.read is not None
        return self.embed(self.views.clean(move_data_to_device(self.training_context.read(indices), self.device)))

    def track(self, first: Tensor, second: Tensor) -> None:
        """Pass matched embeddings `(n, d)` to the diagnostics, which measure whether the method learns."""
        self.tracked = first.detach(), second.detach()

    def embed_pairs(
        self, samples: Any, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Embeddings of two views of each sample, as the objective compares them; row i belongs to row i."""
        first, second = two_views(self.views, samples, generator)
        z = self.embed(torch.cat([first, second]))
        return z[: len(samples)], z[len(samples) :]

    def chance(self, batch_size: int) -> dict[str, float]:
        """The figures of this objective where nothing is learned.

        Those of the pair-matching task, which the diagnostics compute for every method, are known without it.

        Args:
            batch_size: samples of a step, over all processes.
        """
        return {}

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        """What shows the method at work on a few samples, for the report; called after training."""
        return []

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        """A known degenerate solution that the logged figures show, in one line with a remedy; None if there is none.

        Called at the end of an epoch.
        """
        return None

    def begin_epoch(self, epoch: int) -> None:
        """Called before the first step of every epoch, counted from 0, in training mode, without gradients."""

    def frozen_parameters(self, step: int) -> Iterable[nn.Parameter]:
        """Parameters that the step, counted from 0, must not change."""
        return ()

    def constant_lr_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters whose learning rate stays at the top of its schedule."""
        return ()

    @property
    def progress(self) -> float:
        """The share of the training that is done, in [0, 1]."""
        return self.global_step / max(1, self.training_context.steps)

    @property
    def deployed_encoder(self) -> nn.Module:
        """The encoder that is kept, probed and evaluated, `deployed_role` in the method: that of its paper."""
        return self.encoder

    def setup(self, stage: str) -> None:
        if self.sync_batch_norm and world_size() > 1:
            join_batch_norm(self, self.trainer.strategy.root_device)

    def teardown(self, stage: str) -> None:
        part_batch_norm(self)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        key = (self.training_context.seed, self.global_step)
        torch.manual_seed(generator_for(*key, rank()).initial_seed())  # dropout and the like, inside the networks
        drawing = generator_for_part(*key, part=rank(), parts=world_size())
        with torch.no_grad():
            if self.training_context.steps_per_epoch and self.global_step % self.training_context.steps_per_epoch == 0:
                self.begin_epoch(self.global_step // self.training_context.steps_per_epoch)
            # Autocast is for networks: in bfloat16 a resampling matrix would move pixels.
            with torch.autocast(self.device.type, enabled=False), self._views_of_step():
                views = self.make_views(batch, drawing)
        result = self.objective(*views)
        scalars = result if isinstance(result, dict) else {"loss": result}
        self.log_dict({name: value.detach() for name, value in scalars.items()})
        return scalars["loss"]

    @contextmanager
    def _views_of_step(self) -> Iterator[None]:
        """For the time being, the views have the size of this step."""
        sizes = self.training_context.sizes
        if sizes is None:
            yield
            return
        whole: Any = self.views
        self.views = whole.of_size(sizes.at(self.global_step))
        try:
            yield
        finally:
            self.views = whole

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        for parameter in self.frozen_parameters(self.global_step):
            parameter.grad = None
        if self.global_step < self.training_context.freeze_steps:
            for parameter in self.encoder.parameters():
                parameter.grad = None

    def configure_optimizers(self) -> Any:
        assert self._optimizers is not None, "call prepare() with optimizers before training"
        return self._optimizers(self)
