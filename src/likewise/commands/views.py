"""`likewise views`: a picture of what the augmentations do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likewise.checks import check_seed
from likewise.commands.written_file import WrittenFile
from likewise.errors import UserError
from likewise.own_files import png_info


def show_views(
    data: Any,
    *,
    out: str | Path = "views.png",
    augment: Any = "strong",
    size: int | None = None,
    channels: int | None = None,
    range: tuple[float, float] | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> WrittenFile:
    """Draw what the augmentations do: two random views of eight samples in rows one and two, the samples in row three.

    Args:
        data: where the samples come from: see `likewise pretrain`.
        out: the picture, a .png file.
        augment: strong, mild or none; of images also photo, photo-mild, symbol or symbol-mild, to say what they are;
            from Python also a list of operations.
        size: height and width of the images in pixels; their own if not given.
        channels: 1 (grey), 3 (RGB), or how many the images have; their own if not given.
        range: of images of more than 8 bits, the two numbers that become grey levels 0 and 255; found over the data if
            not given.
        seed: of the choice of samples and of their views.
        root: the folder with the files of a named data set.

    Returns:
        The path of the picture.

    Raises:
        UserError: for samples that have no picture, or a file that is no .png.
    """
    from likewise.commands.options import check_range, check_read_options
    from likewise.data.open import open_source
    from likewise.data.sampling import order
    from likewise.modalities.lookup import setup
    from likewise.seeding import generator_for
    from likewise.training.recipe import Recipe
    from likewise.views import picture_grid

    if Path(out).suffix.lower() != ".png":
        raise UserError(f"out must end in .png, got {out}")
    check_seed(seed)
    check_read_options({"root": root}, data)
    recipe = Recipe(augment=augment, size=size, channels=channels)
    source = open_source(data, root=root, size=size, channels=channels, range=range)
    check_range(range, source)
    _, source, views, _ = setup(source, recipe, accelerated=False)
    if not hasattr(views, "picture"):
        raise UserError(f"{source.name} is {source.modality}: there is nothing to draw")
    batch = source.read(order(len(source), seed=seed, epoch=0)[:8])
    generator = generator_for(seed)
    shown = [views(batch, generator), views(batch, generator), views.clean(batch)]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    picture_grid([views.picture(view) for view in shown]).save(out, pnginfo=png_info())
    return WrittenFile(out)
