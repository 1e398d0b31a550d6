"""From prepared samples to embeddings: what a graph holds, and what it takes of a batch."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.export import Dim

from likewise.encoders.audio import Wav2Vec2
from likewise.encoders.pair import Tower
from likewise.exporters.subject import Subject


class GraphNetwork(nn.Module):
    """An encoder behind as much of its samples' preparation as a graph can hold.

    Attributes:
        input_name: of what the graph takes.
        encoder: the run's.
        views: the run's.
    """

    input_name: ClassVar[str]

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.encoder = subject.encoder
        self.views = subject.views

    def prepared(self, batch: Any) -> Tensor:
        """What the graph takes of a batch of a source."""
        return self.views.clean(batch)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Random samples that the graph could be given."""
        raise NotImplementedError

    def variable(self) -> dict[int, Any]:
        """The dimensions of the input whose length is free, with their bounds."""
        return {0: Dim("batch", min=1)}


class ImageNetwork(GraphNetwork):
    """Bytes are normalised inside; resizing is not."""

    input_name = "images"
    mean: Tensor
    std: Tensor

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        mean, std = torch.tensor([self.views.mean, self.views.std])[..., None, None]
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        return self.encoder((images.float() / 255 - self.mean) / self.std)

    def prepared(self, batch: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n d s s"]:
        """The images themselves where they have the encoder's size, else the bytes of the resized ones."""
        size, channels = self.views.size, self.views.channels
        if batch.shape[1:] == (channels, size, size):
            return batch
        levels = (self.views.clean(batch) * self.std + self.mean) * 255
        return levels.round().clamp(0, 255).to(torch.uint8)

    def drawn(self, count: int, generator: torch.Generator) -> UInt8[Tensor, "n c s s"]:
        shape = (count, self.views.channels, self.views.size, self.views.size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


class TextNetwork(GraphNetwork):
    """Token ids, with padding at the ends; the mask is made inside."""

    input_name = "input_ids"

    def forward(self, input_ids: Int[Tensor, "n t"]) -> Float[Tensor, "n dim"]:
        tower = isinstance(self.encoder, Tower)
        encoder: Any = self.encoder.encoder if tower else self.encoder
        # Not `encoder(input_ids)`, which cuts the padding off: a graph can't look how long the longest text is.
        pooled = encoder.pool(encoder.features(input_ids), input_ids)
        return self.encoder.projection(pooled) if tower else pooled  # type: ignore[operator]

    def drawn(self, count: int, generator: torch.Generator) -> Int[Tensor, "n t"]:
        pad, _, cls, sep, _ = self.views.special
        length = min(16, self.views.max_tokens)
        ids = torch.randint(0, self.views.vocab_size, (count, length), generator=generator)
        ids = torch.where(ids == pad, sep, ids)
        ids[:, 0], ids[:, -1] = cls, sep
        if length > 4:
            ids[::2, -2], ids[::2, -1] = sep, pad
        return ids

    def variable(self) -> dict[int, Any]:
        return super().variable() | {1: Dim("tokens", min=2, max=self.views.max_tokens)}


class AudioNetwork(GraphNetwork):
    """Waves of the encoder's rate in [-1, 1]; they are standardized inside."""

    input_name = "waves"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        # Frames of spectrograms and steps of a GRU become so many operations: their number is that of a view.
        self.any_length = isinstance(subject.network, Wav2Vec2)

    def forward(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n dim"]:
        return self.encoder(waves)

    def drawn(self, count: int, generator: torch.Generator) -> Float[Tensor, "n samples"]:
        return torch.rand(count, self.views.samples, generator=generator) - 0.5

    def variable(self) -> dict[int, Any]:
        return super().variable() | ({1: Dim("samples", min=self.views.samples // 2)} if self.any_length else {})


NETWORKS: dict[str, type[GraphNetwork]] = {"image": ImageNetwork, "text": TextNetwork, "audio": AudioNetwork}


def graph_network(subject: Subject) -> GraphNetwork:
    """The network of a subject, in evaluation mode."""
    return NETWORKS[subject.modality](subject).eval()
