"""Datasets of other libraries (`torch.utils.data`, Hugging Face `datasets`), and lists of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset, TensorDataset
from torch.utils.data import Subset as TorchSubset

from likewise.data import arrays, pictures
from likewise.data.levels import Extent, Levels, find_extent, range_note
from likewise.data.request import Request
from likewise.data.source import ImageSource
from likewise.data.value_range import Range
from likewise.errors import UserError, nearest

IMAGE_KEYS = ("image", "img", "images", "pixel_values", "x")
LABEL_KEYS = ("label", "labels", "fine_label", "target", "y")
SAMPLED = 32


def open_source(request: Request) -> DatasetSource | HuggingFaceSource | None:
    """The source of a dataset that has a length and is read by index; None for anything else."""
    data, asked = request.data, request.read_options
    how: dict[str, Any] = {"size": asked.size, "channels": asked.channels, "range": asked.range}
    if isinstance(data, IterableDataset) or type(data).__name__ == "IterableDataset":
        raise UserError("cannot read samples by index from an IterableDataset; give a map-style dataset")
    if isinstance(data, dict) and all(_is_hugging_face(part) for part in data.values()):
        raise UserError(f"a DatasetDict has several splits, give one of them: {', '.join(data)}")
    if _is_hugging_face(data):
        return HuggingFaceSource(data, label_column=asked.label_column, **how)
    if isinstance(data, str | bytes | Mapping) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return None
    return DatasetSource(data, **how)


class DatasetSource(ImageSource):
    """A map-style dataset whose items are images, or hold one first or under a usual key.

    An image is a PIL picture, or one array or tensor with axes and values as `likewise.data.arrays` has them.
    Items are fetched one by one, when they are read. `size` and `channels` None are found from 32 items
    spread over the dataset: `pictures.usual_size`; 1 channel if all of them are grey.
    `range` None is found from 32 items where pictures have pixels of more than 8 bits: see `levels.find_extent`.
    Labels are the dataset's `targets` or `labels`; without these, every item is fetched for its own.
    Raises `UserError` for an item that cannot be fetched or decoded.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        name: str | None = None,
        size: int | None = None,
        channels: int | None = None,
        range: Range | None = None,
    ) -> None:
        self.dataset = dataset
        self.name = name or type(dataset).__name__
        if len(dataset) == 0:
            raise UserError(f"{self.name} is empty")
        self._given, self._channels = range, channels
        if size is None or channels is None:
            spread = np.linspace(0, len(dataset) - 1, min(SAMPLED, len(dataset))).astype(int)
            shapes = [_shape(image) for image in self._images(spread.tolist())]
            size = size or pictures.usual_size([min(h, w) for _, h, w in shapes])
            channels = channels or max(c for c, _, _ in shapes)
        self.size = size
        self.channels = channels
        self.slow_labels = _listed(dataset) is None

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        batch = torch.empty(len(indices), self.channels, self.size, self.size, dtype=torch.uint8)
        asked = indices.tolist()
        for row, i, image in zip(batch, asked, self._images(asked), strict=True):
            if isinstance(image, Image.Image):
                levels = Levels(self.range) if pictures.is_deep(image) and self.range else None
                with self._reading(i):
                    row.copy_(torch.from_numpy(pictures.uniform(image, self.size, self.channels, levels)))
            else:
                row.copy_(pictures.fit(image, self.size, self.channels)[0])
        return batch

    @cached_property
    def range(self) -> Range | None:  # type: ignore[override]
        """See `ImageSource.range`; found when it is first needed."""
        return self._given or (None if self._extent is None else self._extent.range)

    @cached_property
    def notes(self) -> list[str]:
        if self._given:
            return [range_note(self._given)]
        return [] if self._extent is None else [self._extent.note()]

    @cached_property
    def _extent(self) -> Extent | None:
        """Of the numbers of some pictures of more than 8 bits; None where there are none."""
        spread = np.linspace(0, len(self) - 1, min(SAMPLED, len(self))).astype(int)
        found = [image for image in self._images(spread.tolist()) if isinstance(image, Image.Image)]
        return find_extent(np.asarray(image) for image in found if pictures.is_deep(image))

    def resized(self, size: int | None, channels: int | None) -> DatasetSource:
        """The same items, made into samples of another size or with other channels (None: as they are)."""
        other = copy(self)
        other.size = size or self.size
        other.channels = channels or self.channels
        return other

    def labels(self) -> Int[Tensor, " len"]:
        if not self._numbered[1]:
            raise UserError(f"{self.name} has no labels: all of them say that there is none")
        return torch.from_numpy(self._numbered[0])

    @cached_property
    def classes(self) -> list[str]:
        return self._numbered[1] if self._labelled else []

    @cached_property
    def _numbered(self) -> tuple[Int[np.ndarray, " len"], list[str]]:
        if not self._labelled:
            raise UserError(f"{self.name} has no labels: {self._lacks()}")
        return arrays.numbered(self._values(), len(self), self.name, self._names())

    def _images(self, indices: list[int]) -> list[Image.Image | UInt8[Tensor, "1 c h w"]]:
        return [self._image(_part(self._item(i), IMAGE_KEYS, self._named(i)), i) for i in indices]

    def _image(self, image: Any, index: int) -> Image.Image | UInt8[Tensor, "1 c h w"]:
        if isinstance(image, Image.Image):
            return image
        if not isinstance(image, np.ndarray | Tensor):
            raise UserError(
                f"{self._named(index)} must hold a picture, an array or a tensor, got a {type(image).__name__}"
            )
        planes = arrays.planes(image[None], self._named(index), self._channels)
        return torch.from_numpy(np.array(arrays.levels(planes, self._named(index), self._given), order="C"))

    def _item(self, index: int) -> Any:
        with self._reading(index):
            return self.dataset[index]

    @contextmanager
    def _reading(self, index: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            why = f"{type(error).__name__}: {pictures.reason(error)}"
            raise UserError(f"{self._named(index)} cannot be read: {why}") from error

    def _named(self, index: int) -> str:
        return f"item {index} of {self.name}"

    @cached_property
    def _labelled(self) -> bool:
        return _listed(self.dataset) is not None or _label(self._item(0)) is not None

    def _lacks(self) -> str:
        return "its items are no pairs (image, label), and it has no `targets`"

    def _values(self) -> Any:
        listed = _listed(self.dataset)
        return [_label(self._item(i)) for i in range(len(self))] if listed is None else listed

    def _names(self) -> list[str]:
        dataset = self.dataset
        while isinstance(dataset, TorchSubset):
            dataset = dataset.dataset
        names = getattr(dataset, "classes", None)
        return [str(name) for name in names] if isinstance(names, list | tuple) else []


class HuggingFaceSource(DatasetSource):
    """A Hugging Face dataset: its `Image` column, and `label_column`, or its first `ClassLabel` column, for labels."""

    def __init__(
        self,
        dataset: Any,
        *,
        label_column: str | None = None,
        size: int | None = None,
        channels: int | None = None,
        range: Range | None = None,
    ) -> None:
        self.columns = {name: type(feature).__name__ for name, feature in dataset.features.items()}
        images = [name for name, kind in self.columns.items() if kind == "Image"]
        if len(images) != 1:
            listed = ", ".join(f"{name} ({kind})" for name, kind in self.columns.items())
            raise UserError(f"a dataset needs one column of type Image, this has {len(images)}; it has {listed}")
        self.image_column = images[0]
        self.label_column = next((name for name, kind in self.columns.items() if kind == "ClassLabel"), None)
        name = str(dataset.info.dataset_name or "dataset")
        if label_column is not None:
            if label_column not in self.columns:
                hint = f"{nearest(label_column, self.columns)}; it has {', '.join(self.columns)}"
                raise UserError(f"label_column: {name} has no column {label_column!r}{hint}")
            self.label_column = label_column
        super().__init__(dataset.with_format(None), name=name, size=size, channels=channels, range=range)
        self.slow_labels = False

    def _images(self, indices: list[int]) -> list[Image.Image | UInt8[Tensor, "1 c h w"]]:
        column = self.dataset.select_columns(self.image_column)
        try:
            images = column[indices][self.image_column]
        except Exception:
            # One by one, to say which of them it is.
            images = []
            for i in indices:
                with self._reading(i):
                    images.append(column[i][self.image_column])
        return [self._image(image, i) for i, image in zip(indices, images, strict=True)]

    @cached_property
    def _labelled(self) -> bool:
        return self.label_column is not None

    def _lacks(self) -> str:
        listed = ", ".join(f"{name} ({kind})" for name, kind in self.columns.items())
        return f"it has no column of type ClassLabel; it has {listed}"

    def _values(self) -> Any:
        return self.dataset.select_columns(self.label_column)[:][self.label_column]

    def _names(self) -> list[str]:
        return list(getattr(self.dataset.features[self.label_column], "names", []))


def _is_hugging_face(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "datasets" and hasattr(data, "features")


def _listed(dataset: Any) -> Any:
    """The labels that a dataset keeps as a whole, None if it does not."""
    if isinstance(dataset, TorchSubset):
        listed = _listed(dataset.dataset)
        return None if listed is None else np.asarray(listed)[list(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1] if len(dataset.tensors) > 1 else None
    return next((getattr(dataset, name) for name in ("targets", "labels") if hasattr(dataset, name)), None)


def _part(item: Any, keys: Sequence[str], name: str) -> Any:
    """The image of an item: the item itself, its first part, or what lies under a usual key."""
    if isinstance(item, Mapping):
        found = next((key for key in keys if key in item), None)
        if found is None:
            raise UserError(f"{name} has no image under {', '.join(keys)}; it has {', '.join(map(str, item))}")
        return item[found]
    return item[0] if isinstance(item, tuple | list) and item else item


def _label(item: Any) -> Any:
    label: Any = None
    if isinstance(item, Mapping):
        label = next((item[key] for key in LABEL_KEYS if key in item), None)
    elif isinstance(item, tuple | list) and len(item) > 1:
        label = item[1]
    return label.item() if isinstance(label, Tensor | np.generic) and np.ndim(label) == 0 else label


def _shape(image: Image.Image | UInt8[Tensor, "1 c h w"]) -> tuple[int, int, int]:
    if isinstance(image, Image.Image):
        return (1 if pictures.is_grey(image) else 3, image.height, image.width)
    _, c, h, w = image.shape
    return c, h, w
