"""What holds for every method, whatever it asks of its views."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest
import torch
from small_methods import CASES, IMAGE_METHODS, Encoder, Views, encoder, gradients, images, loss_of, ready, views_of

import likewise as lw
from likewise.cli import main
from likewise.errors import UserError
from likewise.methods import METHODS, build_method, method_class, method_options
from likewise.methods.base import Method, TrainingContext
from likewise.training.recipe import Recipe, load_recipe, recipe_names

ROOT = Path(__file__).parents[2]
TASKS = ("generative", "predictive", "meta-learning")
COMPARING = [
    case
    for case, (name, _) in CASES.items()
    if method_class(name).family not in TASKS or name == "contrastive-maml"  # which compares two views
]
ONE_IS_THE_KEY = {"moco-v1", "moco-v2", "densecl"}
PAPERS = [name for name in recipe_names() if name.startswith("imagenet-")]


def takes_two_alike(case: str) -> bool:
    """Whether the objective begins with two views that play the same part."""
    taken = list(inspect.signature(method_class(CASES[case][0]).objective).parameters)[1:]
    return case not in ONE_IS_THE_KEY and (taken[:2] == ["first", "second"] or taken[0].startswith("crops"))


@pytest.mark.parametrize("name", METHODS)
def test_it_says_what_it_is(name: str) -> None:
    method = method_class(name)
    assert issubclass(method, Method)
    assert method.family
    assert method.when_to_use
    assert "\n" not in method.when_to_use
    assert f"arXiv:{method.paper}" in (method.__doc__ or "")


@pytest.mark.parametrize("name", METHODS)
def test_every_hyperparameter_is_documented(name: str) -> None:
    """`likewise pretrain --method NAME --help` shows these entries."""
    documented = inspect.getdoc(method_class(name)) or ""
    arguments = documented.partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): \S", arguments, re.MULTILINE)
    assert entries == ["encoder", *method_options(name)]
    assert method_class(name).__doc__, "inherited"


@pytest.mark.parametrize("name", METHODS)
def test_its_options_can_be_told_from_the_recipes_own(name: str) -> None:
    assert not set(method_options(name)) & {field.name for field in dataclasses.fields(Recipe)}


def test_they_are_listed_by_command_and_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert {"methods": listed} == lw.list_methods().to_json()
    assert [row["name"] for row in listed] == list(METHODS)
    assert all(all(row.values()) for row in listed)
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").splitlines()
    rows = {name: [line for line in page if line.startswith(f"| `{name}` |")] for name in METHODS}
    assert [name for name, found in rows.items() if len(found) != 1] == []
    assert [name for name, (row,) in rows.items() if method_class(name).paper not in row] == []


@pytest.mark.parametrize("name", IMAGE_METHODS)
def test_its_recipe_builds_it(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.method == name
    assert recipe.size is None
    assert recipe.channels is None
    method = build_method(name, encoder(name), recipe.options)
    method.views = Views()
    batch = recipe.batch_size or 256
    assert batch >= method.min_batch_size
    read = images(torch.float32).__getitem__
    for samples in (1297, 60_000):  # digits and Fashion-MNIST
        method.prepare(TrainingContext(samples, batch, steps=20, steps_per_epoch=samples // batch, read=read))


def test_every_recipe_of_a_method_is_named_after_it() -> None:
    assert set(METHODS) <= set(recipe_names())
    for name in PAPERS:  # and, where there are several of a method, what of its paper
        method = load_recipe(name).method
        assert name == f"imagenet-{method}" or name.startswith(f"imagenet-{method}-")


@pytest.mark.parametrize("name", PAPERS)
def test_its_papers_recipe_builds_it(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.size in (224, 256)
    with torch.device("meta"):  # heads of the papers' width take gigabytes
        small = encoder("mae" if "vit" in recipe.encoder else recipe.method)
        method = build_method(recipe.method, small, recipe.options)
    assert recipe.batch_size is not None
    assert recipe.batch_size >= method.min_batch_size


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_option_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no option 'temprature'"):
        build_method(name, Encoder(), {"temprature": 1.0})


@pytest.mark.parametrize("case", CASES)
def test_everything_that_is_trained_gets_a_gradient(case: str) -> None:
    """Otherwise training over several processes would wait for it (DistributedDataParallel)."""
    method = ready(case)
    loss_of(method.objective(*views_of(method))).backward()
    assert gradients(method).keys() == {name for name, p in method.named_parameters() if p.requires_grad}
    assert any(gradient.any() for name, gradient in gradients(method).items() if name.startswith("encoder."))


@pytest.mark.parametrize("case", COMPARING)
def test_it_shows_matched_embeddings_to_the_diagnostics(case: str) -> None:
    method = ready(case)
    views = views_of(method)
    method.objective(*views)
    assert method.tracked is not None
    first, second = method.tracked
    assert first.shape == second.shape
    assert first.ndim == 2
    assert len(first) == len(views[0])
    assert not first.requires_grad
    assert not second.requires_grad
    assert not torch.equal(first, second)


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_batch_has_a_loss(case: str) -> None:
    least = max(method_class(CASES[case][0]).min_batch_size, 1)
    method = ready(case, size=least)
    loss = loss_of(method.objective(*views_of(method, size=least)))
    loss.backward()
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(method).values())


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_has_the_loss_of_float32(case: str) -> None:
    losses = []
    for half in (False, True):
        method = ready(case, dtype=torch.float32)
        views = views_of(method, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(method.objective(*views))
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(gradient.isfinite().all() for gradient in gradients(method).values())
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=0.1)


@pytest.mark.parametrize("case", [case for case in CASES if takes_two_alike(case)])
def test_the_order_of_the_two_views_does_not_matter(case: str) -> None:
    losses = []
    for swap in (False, True):
        method = ready(case)
        first, second, *others = views_of(method)
        views = (second, first) if swap else (first, second)
        losses.append(loss_of(method.objective(*views, *others)).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_objective_leaves_the_encoders_weights_alone(case: str) -> None:
    method = ready(case)
    before = {name: p.detach().clone() for name, p in method.encoder.named_parameters()}
    loss_of(method.objective(*views_of(method))).backward()
    assert all(torch.equal(p, before[name]) for name, p in method.encoder.named_parameters())
