"""Named sets, from files of the real formats made here at small size."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from likewise.data import builtin
from likewise.data.open import open_source
from likewise.data.resolve import is_name
from likewise.data.splits import splits, unlabelled_test_note
from likewise.errors import UserError

RANDOM = np.random.default_rng(0)


def idx(path: Path, array: np.ndarray, *, packed: bool = False) -> None:
    content = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def idx_set(folder: Path, *, packed: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    made = {}
    for split, stem, count in (("train", "train", 6), ("test", "t10k", 4)):
        images = RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = RANDOM.integers(0, 10, count, dtype=np.uint8)
        idx(folder / f"{stem}-images-idx3-ubyte", images, packed=packed)
        idx(folder / f"{stem}-labels-idx1-ubyte", labels, packed=packed)
        made[split] = images, labels
    return made


def test_digits() -> None:
    train, test = open_source("digits"), open_source("digits:test")
    assert (train.name, len(train), len(test)) == ("digits:train", 1297, 500)
    bunch = load_digits()
    levels = np.concatenate([s.read(torch.arange(len(s)))[:, 0].numpy() for s in (train, test)])
    np.testing.assert_allclose(levels, bunch.images * 255 / 16, atol=0.5)
    assert levels.max() == 255
    assert [*train.labels().tolist(), *test.labels().tolist()] == bunch.target.tolist()
    assert train.classes == list("0123456789")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "MNIST/raw"),
        ("mnist", "."),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("fashion-mnist", "fashion-mnist"),
        ("Fashion-MNIST", "."),
    ],
)
def test_idx_sets(tmp_path: Path, name: str, folder: str, packed: bool) -> None:
    made = idx_set(tmp_path / folder, packed=packed)
    for split, (images, labels) in made.items():
        source = open_source(f"{name}:{split}", root=tmp_path)
        np.testing.assert_array_equal(source.read(torch.tensor([3, 0]))[:, 0].numpy(), images[[3, 0]])
        assert source.labels().tolist() == labels.tolist()
        assert (source.name, len(source.classes)) == (f"{name.lower()}:{split}", 10)


def test_a_packed_file_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx_set(tmp_path, packed=True)
    open_source("mnist", root=tmp_path)
    monkeypatch.setattr(gzip, "open", None)
    assert len(open_source("mnist", root=tmp_path)) == 6


def test_damaged_idx_files(tmp_path: Path) -> None:
    idx_set(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    whole = images.read_bytes()
    for content in (whole[:-1], b"", b"\0\0\x0d\x03" + whole[4:]):
        images.write_bytes(content)
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte is not a whole IDX file .*truncated"):
            open_source("mnist", root=tmp_path)
    images.write_bytes(whole)
    idx(labels, np.zeros(5, dtype=np.uint8))
    with pytest.raises(UserError, match="has 5 labels for 6 images"):
        open_source("mnist", root=tmp_path)


def test_a_damaged_packed_file(tmp_path: Path, cache: Path) -> None:
    idx_set(tmp_path, packed=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="is damaged"):
        open_source("mnist", root=tmp_path)
    file.write_bytes(b"no gzip")
    with pytest.raises(UserError, match="is damaged"):
        open_source("mnist", root=tmp_path)


def stl10_files(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder.mkdir(parents=True)
    made = {}
    for part, count in {"train": 12, "test": 7, "unlabeled": 9}.items():
        images = RANDOM.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        labels = RANDOM.integers(1, 11, count, dtype=np.uint8)
        # The real files hold each plane column by column.
        images.transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
        if part != "unlabeled":
            labels.tofile(folder / f"{part}_y.bin")
        made[part] = images, labels
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    (folder / "fold_indices.txt").write_text("0 3 5 \n1 2 11 \n")
    return made


@pytest.mark.parametrize("folder", ["stl10_binary", "."])
def test_stl10(tmp_path: Path, folder: str) -> None:
    made = stl10_files(tmp_path / "root" / folder if folder != "." else tmp_path / "root")
    for split in ("train", "test"):
        source = open_source(f"stl10:{split}", root=tmp_path / "root")
        batch = source.read(torch.tensor([6, 2]))
        np.testing.assert_array_equal(batch.numpy(), made[split][0][[6, 2]])
        assert batch.is_contiguous()
        assert source.labels().tolist() == (made[split][1].astype(int) - 1).tolist()
        assert (source.classes[1], len(source.classes)) == ("bird", 10)
    unlabeled = open_source("stl10:unlabeled", root=tmp_path / "root")
    np.testing.assert_array_equal(unlabeled.read(torch.tensor([8])).numpy(), made["unlabeled"][0][[8]])
    assert unlabeled.classes == []
    with pytest.raises(UserError, match="stl10:unlabeled has no labels"):
        unlabeled.labels()
    both = open_source("stl10:train+unlabeled", root=tmp_path / "root")
    assert (len(both), both.name) == (21, "stl10:train+unlabeled")
    np.testing.assert_array_equal(both.read(torch.tensor([12]))[0].numpy(), made["unlabeled"][0][0])


def test_stl10_folds(tmp_path: Path) -> None:
    stl10_files(tmp_path / "stl10_binary")
    train = open_source("stl10:train", root=tmp_path)
    assert isinstance(train, builtin.STL10)
    assert [fold.tolist() for fold in train.folds()] == [[0, 3, 5], [1, 2, 11]]
    test = open_source("stl10:test", root=tmp_path)
    assert isinstance(test, builtin.STL10)
    with pytest.raises(UserError, match="subsets of stl10:train, not of stl10:test"):
        test.folds()
    (tmp_path / "stl10_binary" / "fold_indices.txt").unlink()
    with pytest.raises(UserError, match=r"fold_indices.txt is missing"):
        train.folds()


def test_stl10_stays_on_the_disk(tmp_path: Path) -> None:
    stl10_files(tmp_path / "stl10_binary")
    source = open_source("stl10:unlabeled", root=tmp_path)
    assert isinstance(source.pixels, np.memmap)
    assert Path(source.pixels.filename).samefile(tmp_path / "stl10_binary" / "unlabeled_X.bin")


def test_stl10_damaged(tmp_path: Path) -> None:
    stl10_files(tmp_path / "stl10_binary")
    file = tmp_path / "stl10_binary" / "train_X.bin"
    os.truncate(file, file.stat().st_size - 5)
    with pytest.raises(UserError, match=r"train_X.bin has 331,771 bytes, not a multiple of 27,648"):
        open_source("stl10", root=tmp_path)
    os.truncate(file, 2 * 27648)
    with pytest.raises(UserError, match=r"train_y.bin has 12 labels for 2 images"):
        open_source("stl10", root=tmp_path)


def cifar(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    return (
        RANDOM.integers(0, 256, (count, 3072), dtype=np.uint8),
        RANDOM.integers(0, classes, count, dtype=np.uint8),
    )


def cifar10_files(root: Path, version: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder = root / f"cifar-10-batches-{version}"
    folder.mkdir(parents=True)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    made: dict[str, list] = {"train": [], "test": []}
    for batch in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ]:
        pixels, labels = cifar(4, 10)
        if version == "bin":
            np.concatenate([labels[:, None], pixels], axis=1).tofile(folder / f"{batch}.bin")
        else:
            content = {
                b"batch_label": b"x",
                b"labels": labels.tolist(),
                b"data": pixels,
                b"filenames": [b"a.png"],
            }
            (folder / batch).write_bytes(pickle.dumps(content, protocol=4))
        made["test" if batch.startswith("test") else "train"].append((pixels, labels))
    if version == "bin":
        (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    else:
        meta = {b"label_names": [name.encode() for name in names]}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=4))
    return {
        split: (np.concatenate([p for p, _ in parts]), np.concatenate([y for _, y in parts]))
        for split, parts in made.items()
    }


@pytest.mark.parametrize("version", ["bin", "py"])
def test_cifar10(tmp_path: Path, version: str) -> None:
    made = cifar10_files(tmp_path, version)
    for _ in range(2):
        for split, (pixels, labels) in made.items():
            source = open_source(f"cifar10:{split}", root=tmp_path)
            chosen = torch.tensor([3, 0, len(labels) - 1])
            expected = pixels[chosen.numpy()].reshape(3, 3, 32, 32)
            np.testing.assert_array_equal(source.read(chosen).numpy(), expected)
            assert source.labels().tolist() == labels.tolist()
            assert (source.classes[9], source.name) == ("truck", f"cifar10:{split}")


@pytest.mark.parametrize("version", ["binary", "python"])
def test_cifar100(tmp_path: Path, version: str) -> None:
    folder = tmp_path / f"cifar-100-{version}"
    folder.mkdir()
    pixels, labels = cifar(5, 100)
    names = [f"class {i}" for i in range(100)]
    coarse = labels // 5
    if version == "binary":
        np.concatenate([coarse[:, None], labels[:, None], pixels], axis=1).tofile(folder / "train.bin")
        (folder / "fine_label_names.txt").write_text("\n".join(names))
    else:
        content = {b"fine_labels": labels.tolist(), b"coarse_labels": coarse.tolist(), b"data": pixels}
        (folder / "train").write_bytes(pickle.dumps(content, protocol=4))
        meta = {b"fine_label_names": [name.encode() for name in names]}
        (folder / "meta").write_bytes(pickle.dumps(meta, protocol=4))
    source = open_source("cifar100", root=tmp_path)
    np.testing.assert_array_equal(source.read(torch.arange(5)).numpy().reshape(5, -1), pixels)
    assert source.labels().tolist() == labels.tolist()
    assert source.classes[42] == "class 42"


# How Python 2 wrote CIFAR: protocol 2, byte strings, NumPy 1's module names.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labels]K\x07aU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    b"K\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00%stbu."
)


def test_cifar_as_python_2_wrote_it(tmp_path: Path) -> None:
    cifar10_files(tmp_path, "py")
    pixels = RANDOM.integers(0, 256, 3072, dtype=np.uint8)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(PYTHON_2 % pixels.tobytes())
    source = open_source("cifar10:test", root=tmp_path)
    np.testing.assert_array_equal(source.read(torch.tensor([0])).flatten().numpy(), pixels)
    assert source.labels().tolist() == [7]


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_cannot_run_anything(tmp_path: Path) -> None:
    cifar10_files(tmp_path, "py")
    batch = tmp_path / "cifar-10-batches-py" / "test_batch"
    batch.write_bytes(pickle.dumps({b"data": Evil(tmp_path / "marker"), b"labels": [1]}))
    with pytest.raises(UserError, match=r"test_batch is no file of CIFAR .* it names \w+.mkdir"):
        open_source("cifar10:test", root=tmp_path)
    assert not (tmp_path / "marker").exists()
    for content in (b"", b"text", pickle.dumps([1]), pickle.dumps({b"data": 1, b"labels": [1]})):
        batch.write_bytes(content)
        with pytest.raises(UserError, match=r"test_batch is no (file|batch) of CIFAR"):
            open_source("cifar10:test", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("mnist", "train-images-idx3-ubyte, train-labels-idx1-ubyte into {root}/MNIST/raw"),
        ("cifar10:test", "test_batch.bin into {root}/cifar-10-batches-bin"),
        ("cifar100", "train.bin into {root}/cifar-100-binary"),
        ("stl10", "train_X.bin, train_y.bin into {root}/stl10_binary"),
        ("stl10:unlabeled", "unlabeled_X.bin into {root}/stl10_binary"),
    ],
)
def test_missing_files(tmp_path: Path, name: str, where: str) -> None:
    with pytest.raises(UserError) as failure:
        open_source(name, root=tmp_path)
    where = where.format(root=tmp_path)
    assert str(failure.value) == (
        f"the files of {name.partition(':')[0]} are missing: put {where}, or say with root (--root) "
        "where they are; downloading them failed: no network"
    )


def test_what_the_download_brings_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "download", lambda name, root: stl10_files(root / "stl10_binary"))
    assert len(open_source("stl10", root=tmp_path)) == 12


def test_root_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx_set(tmp_path / "data" / "MNIST" / "raw")
    monkeypatch.chdir(tmp_path)
    assert len(open_source("mnist")) == 6
    idx_set(tmp_path / "elsewhere")
    idx(tmp_path / "elsewhere" / "train-images-idx3-ubyte", np.zeros((2, 28, 28), dtype=np.uint8))
    idx(tmp_path / "elsewhere" / "train-labels-idx1-ubyte", np.zeros(2, dtype=np.uint8))
    monkeypatch.setenv("LIKEWISE_DATA", str(tmp_path / "elsewhere"))
    assert len(open_source("mnist")) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("minst", "'minst' is neither a known name nor an existing path, did you mean 'mnist'"),
        (
            "nothing/here",
            "possible are digits, mnist, fashion-mnist, cifar10, cifar100, stl10; a folder of images",
        ),
        ("digits:trian", "digits has no split 'trian', did you mean 'train'?; it has train, test"),
        ("stl10:x", "stl10 has no split 'x'; it has train, test, unlabeled, train"),
    ],
)
def test_unknown(data: str, message: str) -> None:
    with pytest.raises(UserError) as failure:
        open_source(data)
    assert message in str(failure.value)


def test_unknown_file(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    with pytest.raises(UserError, match=r"cannot read samples from the file .*a.pdf; possible are"):
        open_source(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be 1 or more pixels, got 0"),
        ({"channels": 0}, r"channels must be 1 \(grey\), 3 \(RGB\) or another number of 1 or more, got 0"),
        ({"channels": 4}, "channels must be 1 or 3, as the images have, got 4"),
    ],
)
def test_impossible_values(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source("digits", **options)


def test_splits(tmp_path: Path) -> None:
    assert splits("digits") == {"pretrain": "digits:train", "train": "digits:train", "test": "digits:test"}
    assert splits("stl10") == {"pretrain": "stl10:unlabeled", "train": "stl10:train", "test": "stl10:test"}
    assert splits("digits:train") == splits(tmp_path) == splits(np.zeros((2, 8, 8))) == splits("nowhere") == {}
    for name in ("train/a/0.png", "train/b/0.png", "val/b/0.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert splits(tmp_path) == {
        "pretrain": f"{tmp_path}:train",
        "train": f"{tmp_path}:train",
        "test": f"{tmp_path}:val",
    }
    (tmp_path / "unlabeled").mkdir()
    (tmp_path / "val").rename(tmp_path / "test")
    (tmp_path / "val").mkdir()
    assert (splits(tmp_path)["pretrain"], splits(tmp_path)["test"]) == (
        f"{tmp_path}:unlabeled",
        f"{tmp_path}:test",
    )
    parts = {"x_train": np.zeros((2, 8, 8)), "x_test": np.zeros((2, 8, 8))}
    np.savez(tmp_path / "a.npz", **parts, y_train=[0, 1], y_test=[1, 1])
    assert splits(tmp_path / "a.npz")["test"] == f"{tmp_path / 'a.npz'}:test"
    np.savez(tmp_path / "b.npz", **parts)
    assert splits(tmp_path / "b.npz") == {"pretrain": f"{tmp_path / 'b.npz'}:train"}


@pytest.mark.parametrize(
    ("files", "roles"),
    [
        (["images/0.jpg", "images/1.jpg"], []),
        (["0.jpg", "1.jpg"], []),
        (["a/0.jpg", "a/1.jpg", "b/0.jpg", "loose.jpg"], ["pretrain", "train", "test"]),
        (["a/0.jpg", "a/1.jpg", "loose.jpg"], []),
        (["Training/a/0.png", "Training/b/0.png", "Testing/a/0.png"], ["pretrain", "train", "test"]),
        (["a/0.jpg", "b/0.jpg", "c/0.jpg"], []),
        (["a/0.jpg", "b/0.jpg", "c/deep/0.jpg", "c/1.jpg"], ["pretrain", "train", "test"]),
        (["a/0.jpg", "a/1.jpg", ".b/0.jpg", "c/notes.txt"], []),
        (["train/0.png", "test/0.png"], ["pretrain"]),
        (["train/a/0.png", "train/b/0.png", "test/0.png"], ["pretrain"]),
        (["train/a/0.png", "train/a/1.png", "test/a/0.png"], ["pretrain"]),
        (["train/a/0.png", "train/b/0.png", "test/a/0.png"], ["pretrain", "train", "test"]),
        (["train/a/0.png", "train/b/0.png", "test/0.png", "val/1.png"], ["pretrain"]),
    ],
)
def test_splits_promise_only_what_can_be_evaluated(files: list[str], roles: list[str], tmp_path: Path) -> None:
    """Told by the names alone: the files are empty."""
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = splits(tmp_path)
    assert list(found) == roles
    assert set(found.values()) <= {f"{tmp_path}:train", f"{tmp_path}:test"}


def test_a_test_split_without_labels_gives_way_to_the_validation_split(tmp_path: Path) -> None:
    for file in ("train/a/0.png", "train/b/0.png", "test/0.png", "valid/a/0.png"):
        (tmp_path / "photos" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / file).touch()
    photos = tmp_path / "photos"
    train = {"pretrain": f"{photos}:train", "train": f"{photos}:train"}
    assert splits(photos) == train | {"test": f"{photos}:valid"}
    assert unlabelled_test_note(photos, f"{photos}:valid") == [f"test of {photos} has no labels: tested on valid"]
    (photos / "test" / "b").mkdir()
    (photos / "test" / "b" / "1.png").touch()
    assert splits(photos) == train | {"test": f"{photos}:test"}
    assert unlabelled_test_note(photos, f"{photos}:test") == []
    x, y = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    for name, labels, test in (("with.npz", y, "test"), ("without.npz", np.full(4, -1), "val")):
        path = tmp_path / name
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=labels, x_val=x, y_val=y)
        assert splits(path)["test"] == f"{path}:{test}"


def test_a_file_with_a_part_to_train_on_alone_has_nothing_to_test_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.zeros((4, 8, 8), np.uint8), y_train=np.array([0, 1, 0, 1]))
    assert splits(tmp_path / "a.npz") == {"pretrain": f"{tmp_path}/a.npz:train"}


def test_splits_of_a_folder_stop_looking_when_they_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        (tmp_path / f"class{i}").mkdir()
        for j in range(2):
            (tmp_path / f"class{i}" / f"{j}.png").touch()
    looked = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or real(path))
    assert set(splits(tmp_path)) == {"pretrain", "train", "test"}
    assert len(looked) == 3


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_arrays_of_one_class_or_of_single_samples_have_no_splits(labels: list[int]) -> None:
    assert splits((np.zeros((3, 8, 8), np.uint8), labels)) == {}


def test_a_part_that_cannot_be_held_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.png").touch()
    with pytest.raises(UserError, match="has no subfolder 'test'; it has images"):
        open_source(f"{tmp_path}:test")


def test_a_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert all(is_name(data) for data in ("digits", "digits:test", "Digits", "stl10:train+unlabeled"))
    assert not any(is_name(data) for data in ("./digits", tmp_path / "digits", Path("digits"), "minst", "", 3.5))
    assert open_source("digits").name == "digits:train"


def test_labelled_data_without_parts_is_held_out_by_class(tmp_path: Path) -> None:
    from PIL import Image

    for name, count in (("cat", 10), ("dog", 5)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    found = splits(tmp_path)
    assert found == {"pretrain": f"{tmp_path}:train", "train": f"{tmp_path}:train", "test": f"{tmp_path}:test"}
    train, test = (open_source(found[part], progress=False) for part in ("train", "test"))
    assert (len(train), len(test)) == (12, 3)
    assert not set(train.ids) & set(test.ids)
    assert test.labels().tolist() == [0, 0, 1]
    Image.new("RGB", (8, 8)).save(tmp_path / "loose.png")
    assert splits(tmp_path) == found
    train, test = (open_source(found[part], progress=False) for part in ("train", "test"))
    assert (len(train), len(test)) == (13, 3)
    assert train.labels()[list(train.ids).index("loose.png")] == -1


def test_labelled_arrays_are_held_out_in_memory() -> None:
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    found = splits((images, labels))
    assert (len(found["pretrain"]), len(found["train"]), len(found["test"])) == (16, 16, 4)
