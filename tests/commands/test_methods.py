"""`likewise methods`: all, or one."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import likewise as lw
from likewise.cli import main
from likewise.methods import METHODS, method_options
from likewise.training.recipe import load_recipe


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_a_method_has_a_help_text(name: str) -> None:
    details = lw.list_methods(name)
    assert [option.name for option in details.options] == list(method_options(name))
    for option in details.options:
        assert len(option.help) > 8, option
        assert option.type


def test_one_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "moco-v2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == lw.list_methods("moco-v2").to_json()
    assert (found["name"], found["modality"], found["paper"]) == ("moco-v2", "any", "arXiv:2003.04297")
    assert found["recipe"] == load_recipe("moco-v2").to_dict()
    options = {option["name"]: option for option in found["options"]}
    assert options["key_momentum"] == {
        "name": "key_momentum", "type": "float", "default": 0.99, "help": "momentum of the key encoder, in [0, 1].",
    }  # fmt: skip
    assert options["temperature"]["type"] == "float | str | None"
    assert main(["methods", "moco-v2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "arXiv:2003.04297",
        "many negatives with small batches",
        "lr 0.002",
        "key_momentum 0.99 float momentum of the key encoder",
    ):
        assert text in shown


def test_all_methods() -> None:
    methods = lw.list_methods()
    assert [method.name for method in methods] == list(METHODS)
    assert methods[0].family == "contrastive"


def test_an_unknown_method(refused: Callable[..., str]) -> None:
    line = refused("methods", "moco-v4")
    assert line.startswith("unknown method 'moco-v4', did you mean 'moco-v")
    assert refused("pretrain", "digits", "--method", "simclear", "--help").startswith("unknown method 'simclear'")
