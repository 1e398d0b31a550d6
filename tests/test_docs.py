"""The documentation says what is so: links, names, commands, options, recipes and examples are those of the package."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import likewise
from likewise import losses
from likewise.cli import COMMANDS, GLOBAL_FLAGS, build_app
from likewise.encoders.folder import EXTRAS
from likewise.methods import METHODS, method_options
from likewise.training.recipe import Recipe, load_recipe, parse_recipe, recipe_names
from likewise.views.specification import operations

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TRAINING = {f"--{f.name.replace('_', '-')}" for f in fields(Recipe) if f.name != "options"}


class Block(NamedTuple):
    page: Path
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    """The fenced blocks of all pages; of some languages, if any are named."""
    for page in PAGES:
        for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL):
            if not languages or language in languages:
                yield Block(page, language, inspect.cleandoc(text))


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def parameters(command: str) -> set[str]:
    """The options of a command, as they are typed, but for those of a method."""
    arguments = build_app([command, "--help"])[command].assemble_argument_collection()
    return {name for argument in arguments if argument.parse for name in argument.names}


def hyperparameters(words: list[str]) -> set[str]:
    """What a training takes beside its own parameters: the recipe's values and those of the method that is named."""
    said = {word: following for word, following in pairwise(words) if word.startswith("--")}
    methods = [said.get("--method", Recipe().method)]
    if methods == ["NAME"]:  # any of them
        methods = list(METHODS)
    elif "--recipe" in said and "--method" not in said:
        recipe = said["--recipe"]
        methods = [load_recipe(recipe).method] if recipe in recipe_names() else list(METHODS)
    options = {f"--{name.replace('_', '-')}" for method in methods for name in method_options(method)}
    return TRAINING | options


def allowed(words: list[str]) -> set[str]:
    """The flags that may follow `likewise COMMAND`."""
    names = parameters(words[1]) | {*GLOBAL_FLAGS, "--help"}
    return names | hyperparameters(words) if words[1] in ("pretrain", "study") else names


def unknown_flags(line: str) -> list[str]:
    """The flags of a command line `likewise …` that the command does not have."""
    words = shlex.split(line, comments=True)
    if words[1].startswith("--"):
        return [word for word in words[1:] if word not in {"--version", "--help", *GLOBAL_FLAGS}]
    if words[1] not in COMMANDS:
        return [words[1]]
    return [word for word in words[2:] if word.startswith("--") and word not in allowed(words)]


def test_a_flag_that_does_not_exist_is_found() -> None:
    assert unknown_flags("likewise pretrain photos/ --method moco-v2 --queue 16 --epochs 3  # --nonsense") == []
    assert unknown_flags("likewise pretrain photos/ --method simclr --queue 16 --nonsense") == ["--queue", "--nonsense"]
    assert unknown_flags("likewise embed run data --temperature 0.2") == ["--temperature"]
    assert unknown_flags("likewise conjure data") == ["conjure"]


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 200
    assert f"{len(METHODS)} methods" in text
    table = text[text.index("| family |") :].partition("\n\n")[0]
    assert sorted(re.findall(r"`([\w-]+)`", table)) == sorted(METHODS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for address in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", address):
            continue
        path, _, anchor = address.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), f"{page.name}: {address}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {address}"


def test_every_claim_of_the_threat_model_names_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    claims = re.findall(r"^- \*\*.*?(?=^- |^$)", text.partition("It can\n")[0], re.MULTILINE | re.DOTALL)
    assert all("(`tests/" in claim for claim in claims)


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}


def test_every_method_is_documented() -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    reference = (ROOT / "docs" / "reference" / "methods.md").read_text()
    for name, home in METHODS.items():
        assert f"\n| `{name}` |" in page, name
        assert f"::: {home.replace(':', '.')}\n" in reference, name


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for name in COMMANDS:
        assert f"\n| `likewise {name}` |" in page, name
        assert re.search(rf"^likewise {name}\b", page, re.MULTILINE), f"no example of {name}"


def test_every_public_name_is_in_the_reference() -> None:
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    entries = set(re.findall(r"^::: (\S+)$", reference, re.MULTILINE))
    public = {f"likewise.{name}" for name in likewise.__all__}
    public |= {f"likewise.losses.{name}" for name in losses.__all__ if name != "gather"}
    assert public <= entries


def test_every_recipe_is_documented() -> None:
    page = (ROOT / "docs" / "guides" / "recipes.md").read_text()
    for name in recipe_names():
        assert name in METHODS or f"`{name}`" in page, name
    for option in fields(Recipe):
        assert f"`{option.name}`" in page, option.name


def test_every_file_and_room_that_is_named_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+\.py)`", prose(page)):
            assert any((top / name).is_file() for top in (ROOT, ROOT / "src" / "likewise")), f"{page.name}: {name}"
    (rooms,) = (block.text for block in blocks("text") if block.text.startswith("src/likewise/"))
    named = re.findall(r"^  (\w+)/", rooms, re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "src" / "likewise").glob("*/*") if not path.match("__pycache__/*")}
    assert set(named) == there


def test_every_section_of_the_report_is_explained() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src/likewise/report/sections").glob("*.py"))
    titles = set(re.findall(r'(?:Section\(|TITLE = |title = )"([^"]+)"', source))
    assert len(titles) > 8
    page = (ROOT / "docs" / "guides" / "report.md").read_text().lower()
    assert [title for title in titles if title.lower() not in page] == []


def test_every_command_line_can_be_typed() -> None:
    found = 0
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.startswith("likewise "):
                assert unknown_flags(line) == [], f"{block.page.name}: {line}"
                found += 1
    assert found > 40


def test_every_option_in_the_text_exists() -> None:
    anywhere = set.union(*(parameters(command) for command in COMMANDS), TRAINING, {"--version", "--help"})
    anywhere |= {*GLOBAL_FLAGS, *(f"--{name.replace('_', '-')}" for m in METHODS for name in method_options(m))}
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", prose(page)):
            if span.startswith("likewise "):
                assert unknown_flags(span) == [], f"{page.name}: {span}"
            elif span.startswith("--") and page.name != "benchmarks.md":  # those have options of their own
                flags = {word for word in span.split() if word.startswith("--")}
                assert flags <= anywhere, f"{page.name}: {span}"


def test_every_recipe_shown_is_one() -> None:
    shown = [block for block in blocks("yaml") if block.text.startswith("method:")]
    assert shown
    for block in shown:
        recipe = parse_recipe(block.text, block.page.name)
        assert set(recipe.options) <= set(method_options(recipe.method))
        augment = yaml.safe_load(block.text).get("augment")
        if isinstance(augment, list):
            assert len(operations(augment)) == len(augment)


def test_every_python_example_uses_what_there_is() -> None:
    for block in blocks("python"):
        tree = ast.parse(block.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("likewise"):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lw":
                assert node.attr in likewise.__all__, f"{block.page.name}: lw.{node.attr}"
            elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("lw."):
                function = getattr(likewise, ast.unparse(node.func).removeprefix("lw."))
                known = inspect.signature(function).parameters
                for keyword in node.keywords:
                    assert keyword.arg in known, f"{block.page.name}: {ast.unparse(node)}"


def test_every_extra_has_tested_pins() -> None:
    pins = (ROOT / "constraints.txt").read_text().lower()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in (line for lines in extras.values() for line in lines):
        name = re.split(r"[\[<>=]", line)[0].lower()
        assert name == "likewise" or f"\n{name}==" in pins, f"{name} has no pin"


def test_every_extra_that_a_message_names_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(EXTRAS.values())
    for path in (ROOT / "src").rglob("*.py"):
        named |= set(re.findall(r'needs\("[\w.]+", "(\w+)"\)', path.read_text(encoding="utf-8")))
    assert {"hf", "text", "audio"} <= named <= set(extras)
    transformers = {name for name, lines in extras.items() if any("transformers>=5" in line for line in lines)}
    assert set(EXTRAS.values()) <= transformers


def test_every_name_of_the_reference_is_there() -> None:
    missing = []
    for path in (ROOT / "docs" / "reference").glob("*.md"):
        for name in re.findall(r"^::: ([\w.]+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, attribute = name.rpartition(".")
            if not hasattr(importlib.import_module(module), attribute):
                missing.append(f"{path.name}: {name}")
    assert missing == []
