"""`likewise generate`: continue a text."""

from __future__ import annotations

from typing import Any

from likewise.checks import check_seed
from likewise.console import tell_notes
from likewise.errors import UserError


class GeneratedText(str):
    """The prompt and its continuation."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        return {"text": str(self)}


def generate(
    run: Any,
    *,
    prompt: str = "",
    max_new_tokens: int = 50,
    temperature: float = 0.8,
    top_k: int | None = 40,
    seed: int = 0,
) -> GeneratedText:
    """Continue a text with a causal language model.

    Args:
        run: a finished run of a causal language model, or its folder.
        prompt: the beginning of the text.
        max_new_tokens: the largest number of tokens to add.
        temperature: the logits are divided by it before a token is drawn: 0 always takes the most likely token, 1
            draws tokens by their probability.
        top_k: draw among this many most likely tokens; from Python None draws among all.
        seed: of the draws.

    Returns:
        The prompt and its continuation, a string.

    Raises:
        UserError: for a run that is not of a causal language model, or a number out of its range.
    """
    import torch

    from likewise.commands.options import as_run
    from likewise.data.blocks import cut_notes
    from likewise.data.items import text_items
    from likewise.encoders.generation import generate_tokens
    from likewise.seeding import generator_for

    check_seed(seed)
    run = as_run(run)
    views, encoder = run.views, run.encoder
    if run.modality != "text":
        raise UserError(
            f"{run.path} has learned from {run.modality} samples: it is not a causal language model; "
            "`likewise pretrain TEXTS --method gpt` trains one"
        )
    prompt = prompt.encode("utf-8", "replace").decode()  # bytes of a command line that are no text
    given = text_items([prompt], views)
    given.name = "the prompt"
    ids = given.read(torch.tensor([0]))[:, :-1]  # without the token that ends a text
    tell_notes(cut_notes(given))
    settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k}
    written = generate_tokens(encoder, ids, special=views.special, generator=generator_for(seed), **settings)
    return GeneratedText(views.decode(written)[0])
