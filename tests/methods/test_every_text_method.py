"""What holds for every method on texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_texts import built, gradients, text_encoder, texts, views_of

from likewise.methods import build_method
from likewise.training.recipe import load_recipe

METHODS = ("bag-of-words", "bert", "gpt", "sentence-order", "simcse", "tsdae")


def loss_of(answer: Any) -> torch.Tensor:
    return answer["loss"] if isinstance(answer, dict) else answer


@pytest.mark.parametrize("name", METHODS)
def test_views_are_a_function_of_the_generator(name: str) -> None:
    method = built(name)
    one, again, other = (views_of(method, texts(), seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, one, again))
    assert all(map(torch.equal, one, other)) == (name in ("gpt", "simcse"))  # those draw nothing


@pytest.mark.parametrize("name", METHODS)
def test_micro_batches_give_the_gradient_of_the_batch(name: str) -> None:
    every = []
    for micro_batch_size in (None, 3):
        method = built(name, micro_batch_size=micro_batch_size)
        views = views_of(method, texts())
        if name == "simcse":  # with no dropout to tell them apart, another text is taken for the other view
            views = (*views[:1], texts(seed=5))
        loss_of(method.objective(*views)).backward()
        every.append(gradients(method))
    assert every[0].keys() == every[1].keys() == dict(method.named_parameters()).keys()  # for several processes
    for gradient, whole in zip(every[1].values(), every[0].values(), strict=True):
        torch.testing.assert_close(gradient, whole, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_has_the_loss_of_float32(name: str) -> None:
    losses = []
    for half in (False, True):
        method = built(name).float()
        views = views_of(method, texts())
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(method.objective(*views))
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(gradient.isfinite().all() for gradient in gradients(method).values())
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=0.1)


@pytest.mark.parametrize("name", METHODS)
def test_its_recipe_builds_it_around_its_encoder(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.method == name
    assert recipe.encoder == {"gpt": "gpt-tiny", "bag-of-words": "static-1024"}.get(name, "bert-tiny")
    family = {"gpt": "gpt", "bag-of-words": "static"}.get(name, "bert")
    assert build_method(name, text_encoder(family), recipe.options)
