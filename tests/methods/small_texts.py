"""Texts, their views and encoders that need no tokenizer, small enough to be compared to the last digit."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.text import StaticBody, TextEncoder, bert, gpt
from likewise.methods import build_method
from likewise.methods.base import Method, TrainingContext
from likewise.seeding import generator_for

VOCABULARY, TOKENS, WIDTH = 40, 16, 32


class Special(NamedTuple):
    pad: int = 0
    unk: int = 1
    cls: int = 2
    sep: int = 3
    mask: int = 4


SPECIAL = Special()


class Views:
    """Ids as they are; every third token goes on with the word before it, and token 7 is written as w7."""

    special, vocab_size, max_tokens = SPECIAL, VOCABULARY, TOKENS
    continues = torch.arange(VOCABULARY) % 3 == 0

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(batch)

    def clean(self, batch: Tensor) -> Tensor:
        return batch[:, : int((batch != SPECIAL.pad).sum(1).max())]

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(batch)

    def decode(self, ids: Tensor) -> list[str]:
        silent = (SPECIAL.pad, SPECIAL.cls, SPECIAL.sep)
        return [" ".join(f"w{token}" for token in row if token not in silent) for row in ids.tolist()]


def texts(count: int = 12, *, seed: int = 0, least: int = 2, longest: int = TOKENS) -> Tensor:
    """`[CLS] max_tokens [SEP]`, then padding; some tokens are unknown."""
    generator = generator_for(seed)
    lengths = torch.randint(least, longest - 1, (count, 1), generator=generator)
    place = torch.arange(longest)
    ids = torch.randint(len(SPECIAL), VOCABULARY, (count, longest), generator=generator)
    ids = torch.where(torch.rand(ids.shape, generator=generator) < 0.05, SPECIAL.unk, ids)
    ids = torch.where(place == 0, SPECIAL.cls, torch.where(place == lengths + 1, SPECIAL.sep, ids))
    return ids.where(place <= lengths + 1, SPECIAL.pad)


def text_encoder(family: str = "bert", *, dropout: float = 0.0, pooling: str | None = None) -> TextEncoder:
    """The same weights at every call, in float64; not so near 0 that attention would hardly attend."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"max_tokens": TOKENS, "pad": SPECIAL.pad, "pooling": pooling}
    config, causal = {"name": f"{family}-test"}, family == "gpt"
    if family == "static":
        body = StaticBody(WIDTH, vocab_size=VOCABULARY)
        marks = (SPECIAL.cls, SPECIAL.sep)
        return TextEncoder(body, causal=causal, **shape, config=config, marks=marks).double()
    build = {"bert": bert, "gpt": gpt}[family]
    body = build(2, WIDTH, vocab_size=VOCABULARY, max_tokens=TOKENS, pad=SPECIAL.pad, heads=2)
    for module in body.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attn_pdrop", "embd_pdrop", "resid_pdrop"):
        if hasattr(body.config, name):  # of decoders that are built after the encoder
            setattr(body.config, name, dropout)
    for parameter in body.parameters():
        if parameter.ndim == 2:
            parameter.data *= 5
    return TextEncoder(body, causal=causal, **shape, config=config).double()


def built(name: str, encoder: nn.Module | None = None, *, micro_batch_size: int | None = None, **options: Any) -> Any:
    """A method around an encoder of its family, ready to be trained."""
    encoder = encoder or text_encoder("gpt" if name == "gpt" else "bert")
    torch.manual_seed(1)
    method: Method = build_method(name, encoder, options).double()
    method.views = Views()
    batch = len(texts())
    method.prepare(TrainingContext(batch, batch, 10, 1, micro_batch_size=micro_batch_size, read=texts().__getitem__))
    return method.train()


def views_of(method: Method, ids: Tensor, seed: int = 0) -> tuple[Any, ...]:
    return method.make_views(Batch(ids, torch.arange(len(ids))), generator_for(seed))


def gradients(method: Method) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
