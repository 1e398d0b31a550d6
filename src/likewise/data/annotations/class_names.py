"""The names of classes in a file beside the images: a line each, or `names` of a YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml

from likewise.data.annotations.annotation import MOST_CLASSES
from likewise.data.annotations.layout import read_text
from likewise.errors import UserError

LARGEST_NAMES = 2**20


def class_names(path: Path) -> list[str]:
    """The names in the order of their numbers.

    Raises:
        UserError: for a file without names, or with more than a mask can have.
    """
    try:
        text = read_text(path, LARGEST_NAMES)
        names = _of_yaml(text) if path.suffix in (".yaml", ".yml") else [line.strip() for line in text.splitlines()]
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} must name the classes: {' '.join(str(error).split())[:200]}") from error
    while names and not names[-1]:
        names.pop()
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError(f"{path} must name each class once, a line each")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{path} must name at most {MOST_CLASSES} classes, it names {len(names):,}")
    return names


def _of_yaml(text: str) -> list[str]:
    found = yaml.safe_load(text)
    names = found.get("names") if isinstance(found, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise ValueError("it has no list `names`")
    return [str(name) for name in names]
