"""Any text, any bytes and any JSON, where files of people and of runs are read."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.open import open_source
from likewise.data.text import corpus
from likewise.errors import UserError
from likewise.runs.chance import ChanceLevels
from likewise.runs.config import ConfigFile, RunConfig
from likewise.runs.declared import check_declared
from likewise.runs.evaluation import Evaluation, EvaluationFile
from likewise.runs.files import DAMAGED
from likewise.runs.history import History
from likewise.runs.skipped import Skipped
from likewise.runs.verdict import Verdict
from likewise.training.recipe import Recipe, parse_recipe

few = settings(max_examples=60, derandomize=True, deadline=None)
keys = st.sampled_from([*ConfigFile.__annotations__, *EvaluationFile.__annotations__, "name", "modality", "mean"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def in_folder(name: str, content: bytes, kind: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        try:
            return kind.load(Path(folder))
        except DAMAGED:
            return None


@few
@given(st.dictionaries(keys, values))
def test_any_json_is_a_part_of_a_run_or_is_refused(document: dict[str, Any]) -> None:
    for kind, declared in (
        (RunConfig, ConfigFile),
        (Evaluation, EvaluationFile),
        (Verdict, None),
        (ChanceLevels, None),
    ):
        loaded = in_folder(kind.FILE, json.dumps(document).encode(), kind)
        if loaded is not None and declared is not None:
            check_declared(dict(loaded), declared, complete=False)


@few
@given(st.binary(max_size=200))
def test_any_bytes_are_a_part_of_a_run_or_are_refused(content: bytes) -> None:
    for kind in (RunConfig, Evaluation, Verdict, ChanceLevels, Skipped):
        in_folder(kind.FILE, content, kind)
    history = in_folder(History.FILE, b"step,epoch,loss\n" + content, History)
    assert history is None or all(isinstance(row["step"], int) for row in history.rows)


@few
@given(
    st.text(max_size=60)
    | values.map(json.dumps)
    | st.dictionaries(st.sampled_from(list(Recipe().to_dict())), values).map(json.dumps)
)
def test_any_text_is_a_recipe_or_is_refused(text: str) -> None:
    with suppress(UserError):
        recipe = parse_recipe(text, "it")
        assert Recipe.of(recipe.to_dict()) == recipe


@few
@given(
    st.binary(max_size=80) | st.text(alphabet='",;\t\r\n ab=1|', max_size=80).map(str.encode),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
)
def test_any_bytes_are_a_table_of_texts_or_are_refused(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(b"text,label\nsome words,a\nother words,b\n" + content)
        try:
            texts = corpus(open_source(path, modality="text", text_column="text", progress=False))
        except UserError:
            return
        assert all(isinstance(text, str) and text for text in texts)
