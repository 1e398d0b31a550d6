"""What can't be exported is said in one line, and leaves nothing behind."""

from __future__ import annotations

import importlib
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import likewise as lw
from exported import MakeRun, build_run
from likewise.exporters import write
from likewise.exporters.formats import GRAPHS
from small_data import digits_and_names, sentences
from typed_commands import refused

TEXT = {"max_tokens": 16, "vocab_size": 200}


@pytest.fixture
def digits(make_run: MakeRun) -> lw.Run:
    return make_run("digits", encoder="resnet8")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("run", "cache"))


def test_an_unknown_format_and_a_pickle(digits: lw.Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = refused(capsys, "export", digits.path, "--to", "onx", "--out", "out")
    assert line == (
        "to must be one of torch, onnx, timm, transformers, sentence-transformers, torch.export, got 'onx', did you "
        "mean 'onnx'?"
    )
    for word in ("pickle", "sklearn", "joblib"):
        line = refused(capsys, "export", digits.path, "--to", word, "--out", "out")
        assert f"got '{word}': a pickle runs code when it is opened" in line
    assert refused(capsys, "export", digits.path, "--out", "out").startswith("export needs --to: torch (weights for ")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("torch", "it is an architecture of likewise, which no other library has"),
        ("timm", "it is an architecture of likewise, which no other library has"),
        ("sentence-transformers", "its models are of texts"),
    ],
)
def test_a_format_that_an_architecture_does_not_allow(
    digits: lw.Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str, reason: str
) -> None:
    line = refused(capsys, "export", digits.path, "--to", to, "--out", "out")
    assert line == f"resnet8 can't be exported to {to}: {reason}; take --to onnx or torch.export"
    assert left(tmp_path) == []


def test_formats_of_other_architectures(tmp_path: Path) -> None:
    small = build_run(tmp_path / "small", "digits", encoder="resnet18")
    with pytest.raises(lw.UserError, match=r"^resnet18 can't be exported to timm: for images up to 40 px its stem is"):
        lw.export(small, to="timm", out="out", progress=False)
    grid = build_run(tmp_path / "grid", "digits", encoder="resnet8", pool_grid=2)
    with pytest.raises(lw.UserError, match=r"to torch: its embedding keeps 2 x 2 places, which their models have not"):
        lw.export(grid, to="torch", out="out", progress=False)
    texts = build_run(tmp_path / "texts", sentences(64), encoder="bert-tiny", **TEXT)
    with pytest.raises(
        lw.UserError, match=r"torch: torchvision and timm have models of images only; take --to onnx or "
    ):
        lw.export(texts, to="torch", out="out", progress=False)


def test_halves_of_pairs(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", digits_and_names(64), encoder="timm:test_vit+bert-tiny", size=160, **TEXT)
    with pytest.raises(
        lw.UserError, match=r"^modality must be image or text, got none: .* each half is exported by its"
    ):
        lw.export(run, to="onnx", out="out")
    with pytest.raises(lw.UserError, match=r"^modality must be image or text, which .* has learned from, got 'audio'"):
        lw.export(run, to="onnx", out="out", modality="audio")
    for to, modality in (("transformers", "text"), ("torch", "image"), ("timm", "image")):
        with pytest.raises(lw.UserError, match="no projection into the joint space of pairs; take --to onnx or"):
            lw.export(run, to=to, out="out", modality=modality)


def test_options_that_do_not_apply(digits: lw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "export", digits.path, "--to", "torch.export", "--out", "out", "--quantize", "int8")
    assert line == "--quantize applies to --to onnx, got torch.export: leave it out"
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "out", "--allow-lossy")
    assert line == "--allow-lossy applies to --quantize int8: leave it out"
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "out", "--modality", "text")
    assert line == f"modality must be image, which {digits.path} has learned from, got 'text'"


def test_a_run_without_an_encoder(digits: lw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    (digits.path / "encoder.safetensors").unlink()
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "out")
    assert line == f"{digits.path} is not finished: `likewise pretrain DATA --resume` goes on with it"
    assert "no run folder nothing" in refused(capsys, "export", "nothing", "--to", "onnx", "--out", "out")


def test_a_folder_that_holds_something_is_kept(digits: lw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "out")
    assert line == "out exists: name another folder with --out, or remove it"
    assert left(Path("out")) == ["mine.txt"]
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "out/mine.txt")
    assert line.startswith("out/mine.txt exists")
    assert Path("out/mine.txt").read_text() == "mine"


def test_a_missing_package_names_the_extra(
    digits: lw.Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "onnxruntime":
            raise ModuleNotFoundError(name)
        return usual(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    line = refused(capsys, "export", digits.path, "--to", "onnx", "--out", "new/out")
    assert line == "this needs onnxruntime, which is not installed: pip install 'likewise[export]'"
    assert left(tmp_path) == []


def test_a_full_disk_and_a_folder_that_is_not_writable(
    digits: lw.Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("file").write_text("")
    line = refused(capsys, "export", digits.path, "--to", "torch.export", "--out", "file/out")
    assert line == ("could not write file/out: a file is in the place of one of its folders; nothing was left behind")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        lines = [refused(capsys, "export", digits.path, "--to", to, "--out", "new/out") for to in GRAPHS]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert lines == ["could not write new/out: the file would be larger than is allowed; nothing was left behind"] * 2
    assert left(tmp_path) == ["file"]


def test_embeddings_that_differ_are_not_exported(
    digits: lw.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = write.program_reader
    for change, said in ((lambda z: z + 0.01, "0.01"), (lambda z: z * torch.nan, "inf"), (lambda z: z[:, 1:], "inf")):
        monkeypatch.setattr(write, "program_reader", lambda path, change=change: lambda x: change(usual(path)(x)))
        with pytest.raises(
            lw.UserError, match=rf"must differ by at most 0.001 from the run's, got {said}: nothing was"
        ):
            lw.export(digits, to="torch.export", out="new/out", progress=False)
        assert left(tmp_path) == []


def test_data_of_another_kind_and_none(digits: lw.Run, tmp_path: Path) -> None:
    texts = build_run(tmp_path / "texts", sentences(64), encoder="bert-tiny", **TEXT)
    with pytest.raises(lw.UserError, match=r"^--quantize needs samples, and the data of .* was in memory, or is gone"):
        lw.export(texts, to="onnx", out="out", quantize="int8", progress=False)
    with pytest.raises(lw.UserError, match="image"):
        lw.export(digits, sentences(64), to="torch.export", out="out", progress=False)
    done = lw.export(texts, to="transformers", out="out", progress=False)
    assert (done.on_data, done.checked) == (False, 64)
    assert "64 random samples" in Path("out/README.md").read_text()


def test_eight_bits_that_cost_too_much_are_refused(digits: lw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.exporters.quantize import Quantized, check_loss

    known = {"kind": "static", "bytes_before": 4, "bytes_after": 1, "speed": 2.0, "samples": 100}
    figures = {
        "cosine": 0.999,
        "least_cosine": 0.9,
        "accuracy_before": 0.9,
        "accuracy_after": 0.895,
        "accuracy_interval": 0.01,
    }
    check_loss(Quantized(**known, **figures))
    check_loss(Quantized(**known, **figures | {"accuracy_before": None, "accuracy_after": None}))
    with pytest.raises(
        lw.UserError, match=r"mean cosine over 100 samples must be at least 0.99, got 0.9800: add --allow"
    ):
        check_loss(Quantized(**known, **figures | {"cosine": 0.98}))
    with pytest.raises(lw.UserError, match=r"at most 1 point .* got 2.0 ± 1.0 \(90.0% -> 88.0%\): add --allow-lossy"):
        check_loss(Quantized(**known, **figures | {"accuracy_after": 0.88}))
    check_loss(Quantized(**known, **figures | {"accuracy_after": 0.88, "accuracy_interval": 0.03}))


def test_a_network_that_no_graph_holds(tmp_path: Path) -> None:
    class Looks(torch.nn.Module):
        dim = 4

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4] * (2 if float(x.sum()) > 0 else 3)

    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8)).astype(np.uint8)
    run = lw.pretrain(images, encoder=Wrapped(), epochs=1, out=tmp_path / "own", precision="32-true", progress=False)
    with pytest.raises(lw.UserError, match=r"^Looks can't be traced, so no graph can hold it: "):
        lw.export(_with(run, Looks()), images, to="torch.export", out="out", progress=False)
    done = lw.export(run, images, to="torch.export", out="out", progress=False)
    assert (done.encoder, done.dim) == ("Wrapped", 4)
    with pytest.raises(lw.UserError, match=r"^Wrapped can't be exported to torch: .* take --to onnx or torch.export"):
        lw.export(run, images, to="torch", out="other", progress=False)


class Wrapped(torch.nn.Sequential):
    """A network of the user's own."""

    dim = 4

    def __init__(self) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, 4))


def _with(run: lw.Run, encoder: torch.nn.Module) -> lw.Run:
    opened = lw.open_run(run.path)
    opened.keep(encoder, run.views)
    return opened


def test_vit_micro_is_no_architecture_of_another_library(tmp_path: Path) -> None:
    run = build_run(tmp_path / "micro", "digits", encoder="vit_micro")
    for to in ("torch", "timm"):
        with pytest.raises(lw.UserError, match=f"^vit_micro can't be exported to {to}: it is an architecture of"):
            lw.export(run, to=to, out="out", progress=False)
