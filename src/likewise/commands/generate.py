"""`likewise generate`: continue a text."""

from __future__ import annotations

from typing import Any

from likewise.commands.arguments import opened
from likewise.errors import UserError


def generate(
    run: Any,
    *,
    prompt: str = "",
    max_new_tokens: int = 50,
    temperature: float = 0.8,
    top_k: int | None = 40,
    seed: int = 0,
) -> str:
    """Let a language model go on with a text.

    Args:
        run: a finished run of a causal language model, or its folder.
        prompt: the beginning.
        max_new_tokens: how many to write at most.
        temperature: what scores are divided by: 0 always writes the likeliest token, 1 as often as it is likely.
        top_k: draw among so many of the likeliest tokens.
        seed: of what is drawn.

    Returns:
        The prompt and what follows it.

    Raises:
        UserError: for an encoder that cannot write.
    """
    from likewise.encoders.generation import generate_tokens
    from likewise.seeding import generator_for

    run = opened(run)
    views, encoder = run.views, run.encoder
    if run.modality != "text":
        raise UserError(f"{run.path} has learned from {run.modality} samples: it cannot write")
    ids = views.encode([prompt])[:, :-1]  # without its end
    settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k}
    written = generate_tokens(encoder, ids, special=views.special, generator=generator_for(seed), **settings)
    return views.decode(written)[0]
