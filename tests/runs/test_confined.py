"""A run folder from elsewhere names no file outside itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from likewise.errors import UserError
from likewise.modalities.lookup import modality_of
from likewise.runs.files import inside


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link", "there/secret", "absent", 3, None, "a\0b"])
def test_a_file_outside_is_refused(name: object, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret").write_text("mine")
    (run / "link").symlink_to(tmp_path / "secret")
    (run / "there").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"config\.json must name a file inside .*run, got"):
        inside(run, name)
    with pytest.raises(UserError, match=r"config\.json must name a file inside .*run, got"):
        modality_of("text").unpack({"tokenizer": name, "max_tokens": 8, "delete": 0.0}, run)


def test_a_file_inside_is_found_also_where_the_folder_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tokenizer.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for folder in ("run", "link"):
        assert inside(tmp_path / folder, "tokenizer.json").read_text() == "{}"
