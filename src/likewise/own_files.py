"""What marks files as outputs of likewise, so that they are not taken for data: what is in them, not their names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "likewise"
OWN = "made by likewise"
"""Why such a file is no sample."""
SOFTWARE = "Software"  # the PNG specification's keyword for what wrote a file
HEAD = 1024  # bytes of a config.json that are looked at
RUN_FILES = {"recipe.yaml", "metrics.csv", "chance.json", "encoder.json"}
IDS_SUFFIX = ".ids.txt"
INDEX_FILES = INDEX_TABLE, INDEX_LOCK = "embeddings.lance", "index.lock"
"""What the folder of an index holds."""


def png_info() -> Any:
    """What Pillow writes into a PNG of ours (`pnginfo=`)."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(SOFTWARE, NAME)
    return info


def is_own_picture(picture: Any) -> bool:
    """Whether a picture that Pillow has opened was drawn by likewise."""
    return picture.info.get(SOFTWARE) == NAME


def is_run_folder(folder: Path, names: set[str]) -> bool:
    """Whether a folder with these names in it is that of a run."""
    if "config.json" not in names or not RUN_FILES & names:
        return False
    with suppress(OSError), (folder / "config.json").open("rb") as file:
        return b'"likewise":' in file.read(HEAD)
    return False


def is_index_folder(names: set[str]) -> bool:
    """Whether a folder with these names in it is that of an index of embeddings."""
    return names >= set(INDEX_FILES)


def ids_file(vectors: Path) -> Path:
    """Where the ids of the rows of a `.npy` file of embeddings are."""
    return vectors.with_suffix(IDS_SUFFIX)


def is_of_embeddings(path: Path) -> bool:
    """Whether a file is a `.npy` file of embeddings, or has their ids: the two lie beside each other."""
    if path.name.endswith(IDS_SUFFIX):
        vectors = path.with_name(path.name.removesuffix(IDS_SUFFIX) + ".npy")
    elif path.suffix == ".npy" and ids_file(path).is_file():
        vectors = path
    else:
        return False
    with suppress(OSError), vectors.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"
    return False
