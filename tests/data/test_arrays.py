"""Arrays in memory and in files: every layout and type, and what is refused."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.data.open import open_source
from likewise.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (6, 8, 9), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)
ALL = torch.arange(6)


def everything(data: Any, **options: Any) -> np.ndarray:
    return open_source(data, **options).read(ALL).numpy()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (RGB, RGB),
        (RGB.transpose(0, 2, 3, 1), RGB),
        (np.asfortranarray(RGB), RGB),
    ],
    ids=["nhw", "nhw1", "n1hw", "nchw", "nhwc", "fortran"],
)
@pytest.mark.parametrize("kind", ["numpy", "torch", "npy", "npz"])
def test_layouts(array: np.ndarray, expected: np.ndarray, kind: str, tmp_path: Path) -> None:
    data: Any = array
    if kind == "torch":
        data = torch.from_numpy(array.copy())
    elif kind == "npy":
        data = tmp_path / "pile.npy"
        np.save(data, array)
    elif kind == "npz":
        data = tmp_path / "pile.npz"
        np.savez_compressed(data, other=np.zeros(3), images=array)
    source = open_source(data)
    batch = source.read(torch.tensor([5, 0, 5]))
    np.testing.assert_array_equal(batch.numpy(), expected[[5, 0, 5]])
    assert batch.is_contiguous()
    assert (len(source), list(source.ids), source.classes) == (6, ["0", "1", "2", "3", "4", "5"], [])


def test_names(tmp_path: Path) -> None:
    np.save(tmp_path / "pile.npy", GREY)
    assert open_source(tmp_path / "pile.npy").name == "pile"
    assert open_source(GREY).name == "array"


def test_where_both_layouts_fit_torch_has_channels_first_and_numpy_last() -> None:
    array = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3)
    zero = torch.tensor([0])
    assert torch.equal(open_source(torch.from_numpy(array)).read(zero), torch.from_numpy(array))
    np.testing.assert_array_equal(open_source(array).read(zero).numpy(), array.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_from_0_to_1(dtype: str) -> None:
    np.testing.assert_array_equal(everything((GREY / 255).astype(dtype))[:, 0], GREY)


def test_other_types() -> None:
    np.testing.assert_array_equal(everything(GREY.astype(np.int64))[:, 0], GREY)
    np.testing.assert_array_equal(everything(GREY > 99)[:, 0], np.where(GREY > 99, 255, 0))
    assert everything(torch.ones(6, 8, 9, dtype=torch.bfloat16)).min() == 255
    assert everything(torch.ones(6, 8, 9, requires_grad=True)).min() == 255


def test_size_and_channels() -> None:
    assert everything(GREY, size=5, channels=3).shape == (6, 3, 5, 5)
    np.testing.assert_array_equal(everything(GREY, channels=3), np.stack([GREY] * 3, axis=1))
    source = open_source((RGB, list("aabbcc")), size=4, channels=1)
    assert source.labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert (source.classes, source.name, len(source), source.ids[3]) == (["a", "b", "c"], "array", 6, "3")
    again = open_source(source, channels=3)
    assert again.read(ALL).shape == (6, 3, 4, 4)
    assert open_source(again, size=4) is again


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([3, 3, 5, 9, 9, 5], ["3", "5", "9"], [0, 0, 1, 2, 2, 1]),
        (np.array([[1], [0], [1], [0], [1], [0]], dtype=np.uint8), ["0", "1"], [1, 0, 1, 0, 1, 0]),
        (torch.tensor([0, 1, 2, 0, 1, 2]), ["0", "1", "2"], [0, 1, 2, 0, 1, 2]),
        (np.array(["cat", "dog"] * 3), ["cat", "dog"], [0, 1] * 3),
        (np.array([b"cat", b"dog"] * 3), ["cat", "dog"], [0, 1] * 3),
    ],
)
def test_labels(labels: Any, classes: list[str], numbers: list[int]) -> None:
    source = open_source((GREY, labels))
    assert source.classes == classes
    assert source.labels().tolist() == numbers
    assert source.labels().dtype == torch.int64


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels"), ("X", "targets"), ("arr_0", "label")])
def test_npz_keys(keys: tuple[str, str], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{keys[0]: GREY, keys[1]: np.array([4, 4, 4, 7, 7, 7])})
    source = open_source(tmp_path / "a.npz")
    assert source.classes == ["4", "7"]
    np.testing.assert_array_equal(source.read(ALL)[:, 0].numpy(), GREY)


@pytest.mark.parametrize("pattern", ["{part}_{what}", "{what}_{part}"])
def test_npz_splits(pattern: str, tmp_path: Path) -> None:
    arrays = {}
    for part, rows in {"train": slice(0, 4), "test": slice(4, 6)}.items():
        arrays[pattern.format(what="images", part=part)] = GREY[rows]
        arrays[pattern.format(what="labels", part=part)] = np.arange(6)[rows]
    np.savez(tmp_path / "a.npz", **arrays)
    source = open_source(f"{tmp_path / 'a.npz'}:test")
    assert (source.name, source.classes) == ("a:test", ["4", "5"])
    np.testing.assert_array_equal(source.read(torch.arange(2))[:, 0].numpy(), GREY[4:])
    with pytest.raises(UserError, match="holds no images of a split 'val': looked for x_val, val_x, images_val"):
        open_source(f"{tmp_path / 'a.npz'}:val")


def test_files_stay_on_the_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    np.savez_compressed(tmp_path / "a.npz", x=GREY)
    for name in ("a.npy", "a.npz"):
        base = open_source(tmp_path / name).pixels
        while not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)


def test_read_only_memory_gives_no_warning(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    source = open_source(tmp_path / "a.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source.read(ALL).zero_()
    np.testing.assert_array_equal(source.read(ALL)[:, 0].numpy(), GREY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((4, 5)), r"got \(4, 5\)"),
        (np.zeros((9, 5, 3)), r"shaped \(n, h, w\), .* got \(9, 5, 3\)"),
        (np.zeros((2, 4, 5, 6)), r"with c = 1 or 3, got \(2, 4, 5, 6\)"),
        (np.zeros((0, 8, 8)), r"holds no image, its shape is \(0, 8, 8\)"),
        (
            np.full((2, 8, 8), 255.0),
            r"float64 images must lie between 0 and 1, got values from 255.0 to 255.0",
        ),
        (np.full((2, 8, 8), np.nan), "got values from nan to nan"),
        (np.full((2, 8, 8), -1), "int64 images must lie between 0 and 255, got values from -1 to -1"),
        (np.full((2, 8, 8), 300, dtype=np.uint16), "uint16 images must lie between 0 and 255"),
        (np.zeros((2, 8, 8), dtype=complex), "images must be numbers, got an array of complex128"),
        (np.full((2, 8, 8), "a"), "images must be numbers, got an array of <U1"),
        ((GREY, [1, 2]), r"6 images need as many labels, got labels of shape \(2,\)"),
        ((GREY, np.linspace(0, 1, 6)), "labels must be whole numbers or text, got float64"),
    ],
)
def test_refused(data: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as failure:
        open_source(data)
    assert "\n" not in str(failure.value)


def test_a_bad_value_in_the_middle_is_found_when_it_is_read() -> None:
    images = np.zeros((1000, 8, 8), dtype=np.float32)
    images[501, 3, 3] = np.nan
    source = open_source(images)
    assert source.read(torch.arange(500)).shape == (500, 1, 8, 8)
    with pytest.raises(UserError, match="got values from nan to nan"):
        source.read(torch.tensor([501]))


def test_no_labels() -> None:
    with pytest.raises(UserError, match=r"array has no labels; give them as a pair \(images, labels\)"):
        open_source(GREY).labels()


def test_damaged_and_unsafe_files(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}]))
    np.savez(tmp_path / "other.npz", weights=GREY)
    np.save(tmp_path / "cut.npy", GREY)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-9])
    for name in ("text.npy", "text.npz", "objects.npy", "objects.npz", "cut.npy"):
        with pytest.raises(UserError, match=f"{name} cannot be read as an array: "):
            open_source(tmp_path / name)
    with pytest.raises(UserError, match="holds no images: looked for x, images; it holds weights"):
        open_source(tmp_path / "other.npz")
    np.save(tmp_path / "fine.npy", GREY)
    with pytest.raises(UserError, match="is one array and has no split 'train'"):
        open_source(f"{tmp_path / 'fine.npy'}:train")
    with pytest.raises(UserError, match=r"text.npz cannot be read as an array: "):
        open_source(f"{tmp_path / 'text.npz'}:train")


def claims(path: Path, size: int, packed: bytes, method: int) -> Path:
    """An archive whose array `x` claims `size` bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", packed)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = size.to_bytes(4, "little")  # of the directory, which is believed
    path.write_bytes(content)
    return path


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claims(tmp_path / "a.npz", 2**32 - 2, b"\x93NUMPY" + bytes(100), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"a\.npz: x\.npy claims 4,294,967,294 bytes, more than 1,100 times the \d+ th"):
        open_source(path)
    free = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free._replace(free=1000))
    np.savez(tmp_path / "b.npz", x=np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(
        UserError, match=r"b\.npz: x\.npy takes 1,408 bytes in the cache, .*cache.*, where 1,000 are free: m"
    ):
        open_source(tmp_path / "b.npz")
    assert not list(cache.rglob("*.npy"))


def test_labels_that_are_not_as_many_as_images_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.zeros((20, 3), np.int64))
    copied = []
    copy = np.array
    monkeypatch.setattr(np, "array", lambda *given, **how: copied.append(np.shape(given[0])) or copy(*given, **how))
    with pytest.raises(UserError, match=r"20 images need as many labels, got labels of shape \(20, 3\)"):
        open_source(tmp_path / "a.npz")
    assert (20, 3) not in copied
