"""Text generation with a causal encoder, token by token."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, check_non_negative, require
from likewise.encoders.text import causal_encoder

MOST_NEW_TOKENS = 1_000_000


@torch.no_grad()
def generate_tokens(
    encoder: nn.Module,
    ids: Int[Tensor, "n t"],
    *,
    max_new_tokens: int,
    special: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator,
) -> Int[Tensor, "n u"]:
    """Continuations of the texts `ids`, each until its end, `special.sep`, or until it is long enough.

    Keys and values are cached: a token costs one step of one token. When the encoder's positions are used up, the older
    half of the cache is dropped.

    Args:
        encoder: a causal text encoder, trained to predict the next token with its own embedding.
        ids: `[CLS] tokens`, padded with `special.pad`, at least one token each.
        max_new_tokens: largest number of new tokens of each text.
        special: ids `pad`, `unk`, `cls`, `sep` and `mask`; all but `sep` are never generated.
        temperature: divisor of the logits, 0 or more; 0 takes the most likely token.
        top_k: sample from the `top_k` most likely tokens; None from all.
        generator: on the CPU.

    Raises:
        UserError: for an encoder that is not causal, an empty text, or a number out of its range.
    """
    language = causal_encoder(encoder)
    check_int(max_new_tokens=max_new_tokens)
    check_int(1, MOST_NEW_TOKENS, max_new_tokens=max_new_tokens)
    check_int(top_k=top_k)
    check_non_negative(temperature=temperature)
    lengths = (ids != special.pad).sum(1)
    require(bool(lengths.all()), "prompt", "a text of at least one token", "an empty one")
    ends = lengths + max_new_tokens
    written = F.pad(ids[:, : int(lengths.max())], (0, max_new_tokens), value=special.pad)
    never = torch.tensor(sorted({*special} - {special.sep}), device=ids.device)
    done = torch.zeros_like(lengths, dtype=torch.bool)
    training = language.training
    language.eval()
    kept, first, read = None, 0, 0  # keys and values of the tokens from `first` to before `read`
    for place in range(int(lengths.min()), written.shape[1]):
        if place - first > language.max_tokens:
            kept, first = None, place - max(1, language.max_tokens // 2)
            read = first
        output = language.body(input_ids=written[:, read:place], past_key_values=kept, use_cache=True)
        kept, read = output.past_key_values, place
        scores = output.last_hidden_state[:, -1].float() @ language.embedding.weight.float().T
        finite = bool(scores.isfinite().all())
        require(finite, "logits", "finite", "others: the weights are damaged, or their training diverged")
        drawn = draw(scores.index_fill(1, never, -torch.inf), temperature, top_k, generator)
        going = (place >= lengths) & (place < ends) & ~done
        written[:, place] = torch.where(going, drawn, written[:, place])
        done |= (going & (drawn == special.sep)) | (place + 1 >= ends)
        if done.all():
            break
    language.train(training)
    return written[:, : int((written != special.pad).sum(1).max())]


def draw(
    scores: Float[Tensor, "n v"], temperature: float, top_k: int | None, generator: torch.Generator
) -> Int[Tensor, " n"]:
    """One id for each row: the most likely one for temperature 0, else a sample from the `top_k` most likely."""
    if temperature == 0:
        return scores.argmax(1)
    best, ids = scores.topk(min(top_k or scores.shape[1], scores.shape[1]), dim=1)
    places = torch.multinomial((best / temperature).softmax(1).cpu(), 1, generator=generator)
    return ids.gather(1, places.to(ids.device)).squeeze(1)
