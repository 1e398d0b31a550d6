"""A teacher sees the views of a student as it sees its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from likewise.data.open import open_source
from likewise.errors import UserError
from likewise.modalities.teacher import Renormalized, teacher_for
from likewise.views import ImageViews
from small_data import SAMPLE_RATE, recordings, sentences


class Mean(torch.nn.Module):
    """The pixels themselves."""

    dim = 192

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return view.flatten(1)


def test_images_are_normalized_as_the_teacher_knows_them() -> None:
    batch = torch.randint(256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    given = ImageViews([], size=8, channels=3)
    wanted = ImageViews([], size=8, channels=3, mean=[0.1, 0.5, 0.7], std=[0.3, 0.2, 0.6])
    teacher = Renormalized(Mean(), given, wanted)
    torch.testing.assert_close(teacher(given.clean(batch)), Mean()(wanted.clean(batch)), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> lw.Run:
    folder = tmp_path_factory.mktemp("texts")
    how: dict[str, Any] = {"epochs": 1, "batch_size": 32, "max_tokens": 16, "vocab_size": 150, "precision": "32-true"}
    return lw.pretrain(sentences(64), out=folder / "run", progress=False, **how)


def test_tokens_must_be_those_of_the_teacher(text_run: lw.Run) -> None:
    texts = open_source(sentences(64), read_options=text_run.read_options, progress=False)
    assert teacher_for(str(text_run.path), text_run.views, texts) is not None
    from likewise.views.text import TextViews

    shorter = TextViews(text_run.views.tokenizer, max_tokens=5)
    with pytest.raises(UserError, match="are prepared in another way than those of the teacher"):
        teacher_for(str(text_run.path), shorter, texts)


def test_samples_of_another_kind(text_run: lw.Run, tmp_path: Path) -> None:
    sounds = open_source(recordings(16)[0], sample_rate=SAMPLE_RATE)
    with pytest.raises(UserError, match=r"^data must be text samples, as the teacher .*, got .*, which is audio$"):
        teacher_for(str(text_run.path), None, sounds)
    with pytest.raises(UserError, match=r"^distill needs a teacher: `likewise distill RUN --encoder NAME`"):
        teacher_for(None, None, sounds)
    with pytest.raises(UserError, match=r"^no run folder"):
        teacher_for(str(tmp_path / "gone"), None, sounds)
