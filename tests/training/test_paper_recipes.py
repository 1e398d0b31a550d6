"""The recipes of papers: the documentation's table has their values, and each says where its values come from."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
import yaml

from likewise.encoders import image_encoder
from likewise.training.recipe import load_recipe, recipe_names

PAPERS = [name for name in recipe_names() if name.startswith("imagenet-")]
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "papers.md").read_text(encoding="utf-8")
ROW = r"^\| `(imagenet-[\w-]+)` \| `(\w+)` \| [^|]+ \| [^|]+ \| ([^|]+?)(?: \((?:code|paper)\))? \|$"
ROWS = re.findall(ROW, PAGE, re.MULTILINE)


def test_the_table_is_read() -> None:
    _, _, values = PAGE.partition("## Values")
    assert len(ROWS) == values.partition("## Not done")[0].count("\n| `imagenet-") > 60
    assert {name for name, _, _ in ROWS} == set(PAPERS)


@pytest.mark.parametrize(("name", "value", "ours"), ROWS)
def test_a_recipe_has_the_value_that_the_table_says(name: str, value: str, ours: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.to_dict() | recipe.options)[value] == yaml.safe_load(ours)


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_names_its_paper(name: str) -> None:
    text = (resources.files("likewise") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert re.match(r"# .*\d{4}.*arXiv:\d{4}\.\d{5}|# DeepCluster-v2 of .*arXiv", text)


def test_what_a_recipe_asks_of_its_resnet_can_be_built() -> None:
    asking = [name for name in PAPERS if load_recipe(name).zero_init_residual]
    assert len(asking) == 7
    assert {load_recipe(name).encoder for name in asking} == {"resnet50"}
    image_encoder("resnet50", channels=3, size=32, zero_init_residual=True)
