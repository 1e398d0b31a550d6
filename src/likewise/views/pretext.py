"""Pretext views: known changes of a whole batch, for an encoder to name or to see through.

They take and give float views, a few operations for the whole batch; draws come from a generator on the CPU. An image
`(n, c, h, w)` is cut into k patches `(n, k, c, p, p)`, in the order in which one reads.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from likewise.checks import check_int, check_non_negative, require
from likewise.errors import UserError
from likewise.seeding import draw_rows
from likewise.views.colour import luma
from likewise.views.operation import happens

MOST_CELLS = 16  # a side: every patch is encoded, and no puzzle has more
MOST_GAP = 16  # widths of a patch
SMALLEST_PATCH = 2  # px: a single one has no edge, texture or direction
# px, or half the image where that is less; smaller patches are enlarged to it. Encoders of whole images halve what they
# see down to a pixel or two: of smaller patches the last convolutions would see nothing but their padding (and oneDNN
# leaves the gradient of such weights undefined in bfloat16).
SMALLEST_SEEN = 20
RECTANGLES = 16  # of a mask: half of a view is covered by fewer, but for chance
MOST_PERMUTED = 9  # patches: there are 9! = 362,880 orders to choose from, 16! can't be listed


def rotations(images: Float[Tensor, "n c s s"]) -> Float[Tensor, "m c s s"]:
    """The batch turned counter-clockwise by 0, 90, 180 and 270 degrees, one after the other: m = 4 n."""
    return torch.cat([images.rot90(quarters, (2, 3)) for quarters in range(4)])


@dataclass(frozen=True)
class Grid:
    """Square patches of an image, in `cells` rows and columns: the largest that fit, the grid at a random place.

    Edges that go on from one patch to the next, and lines of colour that a lens bends, tell where a patch lies without
    anything being understood (arXiv:1505.05192, section 3.1). Hence a gap between patches, and a jitter of each. Both
    are rounded to pixels, the jitter downwards: patches never overlap, and small images have little of either.

    Args:
        cells: rows, and columns; from 2 to 16.
        gap: between neighbouring patches, in widths of a patch; from 0 to 16.
        jitter: how far a patch is moved at most, in x and in y, in widths of a patch; at most half the gap.

    Raises:
        UserError: for a number out of its range.
    """

    cells: int
    gap: float
    jitter: float

    def __post_init__(self) -> None:
        check_int(2, grid=self.cells)
        check_int(2, MOST_CELLS, grid=self.cells)
        check_non_negative(gap=self.gap)
        require(self.gap <= MOST_GAP, "gap", f"at most {MOST_GAP}", self.gap, "patches would be of a few pixels")
        apart = 0 <= self.jitter <= self.gap / 2
        rule = f"from 0 to half the gap, {self.gap / 2:g}"
        require(apart, "jitter", rule, self.jitter, "with more jitter patches would overlap")

    @property
    def patches(self) -> int:
        """How many an image is cut into."""
        return self.cells**2

    @property
    def touching(self) -> bool:
        """Whether edges go on from patch to patch always at the same place, as a trivial solution needs it."""
        return self.gap == self.jitter == 0

    def pixels(self, height: int, width: int) -> tuple[int, int, int]:
        """Width of a patch, gap and largest jitter for images of this size.

        Raises:
            UserError: for an image that is too small.
        """
        side = min(height, width)
        for patch in range(side // self.cells, SMALLEST_PATCH - 1, -1):
            if self._span(*(sizes := self._sizes(patch))) <= side:
                return sizes
        least = self._span(*self._sizes(SMALLEST_PATCH))
        raise UserError(
            f"images of {height}x{width} px are too small for {self.cells}x{self.cells} patches: "
            f"{least} px are the least; a smaller grid or gap needs less"
        )

    def _sizes(self, patch: int) -> tuple[int, int, int]:
        return patch, int(self.gap * patch + 0.5), int(self.jitter * patch)

    def _span(self, patch: int, gap: int, jitter: int) -> int:
        return self.cells * (patch + gap) - gap + 2 * jitter

    def corners(self, n: int, height: int, width: int, generator: torch.Generator) -> Int[Tensor, "n k 2"]:
        """Top and left pixel of every patch of `n` images of this size, on the CPU."""
        return draw_rows(lambda rows, whole: self._corners(rows, height, width, whole), n, generator)

    def _corners(self, n: int, height: int, width: int, generator: torch.Generator) -> Int[Tensor, "n k 2"]:
        patch, gap, jitter = self.pixels(height, width)
        places = torch.cartesian_prod(*[torch.arange(self.cells) * (patch + gap)] * 2)
        moved = torch.randint(2 * jitter + 1, (n, self.patches, 2), generator=generator)
        spare = torch.tensor([height, width]) - self._span(patch, gap, jitter)
        origin = (torch.rand(n, 1, 2, generator=generator) * (spare + 1)).long()
        return origin + places + moved

    def cut(self, images: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n k c p p"]:
        """The patches of every image; those that are too small for an encoder, enlarged.

        Raises:
            UserError: for images that are too small.
        """
        n, _, height, width = images.shape
        patch, *_ = self.pixels(height, width)
        top, left = self.corners(n, height, width, generator).to(images.device).unbind(2)
        windows = images.unfold(2, patch, 1).unfold(3, patch, 1)
        patches = windows[torch.arange(n, device=images.device)[:, None], :, top, left]
        seen = min(SMALLEST_SEEN, (min(height, width) + 1) // 2)
        if patch >= seen:
            return patches
        larger = F.interpolate(patches.flatten(0, 1), (seen, seen), mode="bilinear")
        return larger.unflatten(0, (n, self.patches))


def shuffled(patches: Shaped[Tensor, "n k *shape"], orders: Int[Tensor, "n k"]) -> Shaped[Tensor, "n k *shape"]:
    """Patch `orders[i, j]` of image i comes to place j; `orders.argsort(1)` puts them back."""
    return patches[torch.arange(len(patches), device=patches.device)[:, None], orders]


def random_orders(n: int, patches: int, generator: torch.Generator) -> Int[Tensor, "n k"]:
    """A random order of the patches for each of `n` images, on the CPU."""
    return draw_rows(lambda rows, whole: torch.rand(rows, patches, generator=whole).argsort(1), n, generator)


def block_masks(
    n: int, grid: tuple[int, int], generator: torch.Generator, *, share: float, least: float, most: float
) -> Bool[Tensor, "n p"]:
    """Masks of the patches of n views, made of rectangles, as in iBOT and BEiT (arXiv:2106.08254, algorithm 1).

    A share of the views, drawn at random, has masked patches, at least one view; from one to the next the part that is
    masked grows in even steps. Rectangles with 4 patches or more, if so many are to be masked, and ratios of their
    sides between 0.3 and 1/0.3 are laid until enough is covered; of the last one a random part is taken.

    Args:
        n: number of views.
        grid: rows and columns of patches.
        generator: on the CPU.
        share: of the views.
        least: smallest part of a view's patches that is masked; one patch at least.
        most: largest part.

    Returns:
        Row by row of the grid, on the CPU.
    """
    rows, columns = grid
    views = max(1, round(n * share))
    steps = (torch.arange(views) + torch.rand(views, generator=generator)) / views
    counts = torch.zeros(n)
    counts[:views] = (rows * columns * (least + (most - least) * steps)).round().clamp(min=1)
    counts = counts[torch.rand(n, generator=generator).argsort()]
    u = torch.rand(4, n, RECTANGLES, generator=generator)
    smallest = counts.clamp(max=4)[:, None]
    area = smallest + u[0] * (counts[:, None] - smallest)
    ratio = (math.log(0.3) * (2 * u[1] - 1)).exp()
    height = (area * ratio).sqrt().round().clamp(1, rows)
    width = (area / ratio).sqrt().round().clamp(1, columns)
    top, left = (u[2] * (rows - height + 1)).floor(), (u[3] * (columns - width + 1)).floor()
    down, right = torch.arange(rows), torch.arange(columns)
    in_rows = (down >= top[..., None]) & (down < (top + height)[..., None])
    in_columns = (right >= left[..., None]) & (right < (left + width)[..., None])
    covered = (in_rows[..., :, None] & in_columns[..., None, :]).flatten(2)
    first = torch.where(covered.any(1), covered.to(torch.uint8).argmax(1), RECTANGLES)  # which rectangle came first
    order = first + torch.rand(n, rows * columns, generator=generator)
    return order.argsort(1).argsort(1) < counts[:, None]


@cache
def permutation_set(patches: int, count: int) -> Int[Tensor, "count k"]:
    """Permutations that differ in as many places as possible: any two of them, and on average (arXiv:1603.09246).

    Chosen one by one, as in the paper's algorithm 1, each as far as possible from those already chosen: by its smallest
    Hamming distance to them, then by its mean one, which is all the paper asks for; two permutations that differ in two
    patches only are hardly two classes. The same arguments always give the same set. The tensor is shared: do not write
    into it.

    Raises:
        UserError: for more than 9 patches, or more permutations than there are.
    """
    few = patches <= MOST_PERMUTED
    require(few, "grid", "2 or 3", math.isqrt(patches), f"{patches} patches have too many permutations")
    most = math.factorial(patches)
    require(2 <= count <= most, "permutations", f"from 2 to {most:,} for {patches} patches", count)
    with torch.device("cpu"):  # whatever device, `meta` for one, modules are being built on
        return _far_apart(patches, count)


def _far_apart(patches: int, count: int) -> Int[Tensor, "count k"]:
    every = torch.tensor(list(itertools.permutations(range(patches))), dtype=torch.uint8)
    # Mixed, so that among equally distant ones it is not always the first tiles that stay.
    every = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(patches))].T.contiguous()
    nearest = torch.full(every.shape[1:], patches, dtype=torch.int32)
    total = torch.zeros_like(nearest)
    chosen = [0]
    while len(chosen) < count:
        differs = every != every[:, chosen[-1], None]
        distance = differs.view(torch.uint8).sum(0, dtype=torch.uint8).int()  # bytes: three times as fast
        torch.minimum(nearest, distance, out=nearest)
        total += distance
        chosen.append(int((nearest * (count * patches + 1) + total).argmax()))
    return every[:, chosen].T.long()


def without_colours(patches: Float[Tensor, "n k c p p"], generator: torch.Generator) -> Float[Tensor, "n k c p p"]:
    """Of every patch one channel, drawn at random; the others become noise, 1/100 as strong as it varies.

    Lenses focus colours differently, and more so towards the edge of the picture: between its channels a patch shows
    where it was (chromatic aberration; arXiv:1505.05192, section 3.1). Patches of one channel stay as they are.
    """
    n, k, channels = patches.shape[:3]
    if channels == 1:
        return patches
    kept = draw_rows(lambda rows, whole: torch.randint(channels, (rows, k, 1, 1, 1), generator=whole), n, generator)
    kept_ones = (torch.arange(channels)[:, None, None] == kept).to(patches.device)
    noise = draw_rows(lambda rows, whole: torch.randn(rows, *patches.shape[1:], generator=whole), n, generator)
    noise = noise.to(patches.device)
    spread = (patches * kept_ones).sum(2, keepdim=True).std((3, 4), correction=0, keepdim=True)
    return torch.where(kept_ones, patches, noise * spread / 100)


def some_grey(images: Float[Tensor, "n c h w"], share: float, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Images of which a share, drawn at random, is grey: all channels are their luma. Images without colours stay."""
    if share == 0 or images.shape[1] != 3:
        return images
    drawn = draw_rows(lambda n, whole: happens(n, share, whole), len(images), generator)
    return torch.where(drawn[:, None, None, None].to(images.device), luma(images).to(images.dtype), images)


def standardize(patches: Float[Tensor, "n k c p p"], *, least: float = 0.02) -> Float[Tensor, "n k c p p"]:
    """Every channel of every patch with mean 0 and deviation 1, so that brightness and colours don't tell neighbours.

    `least`: deviation below which a patch is flat, and is not magnified; a byte is about that in normalised views.
    """
    deviation, mean = torch.std_mean(patches, (3, 4), correction=0, keepdim=True)
    return (patches - mean) / deviation.clamp(min=least)


def mosaic(patches: UInt8[Tensor, "n k c p p"], *, gap: int = 1) -> UInt8[Tensor, "n c s s"]:
    """The patches laid in a square, `gap` white pixels apart: something to look at."""
    n, k, c, p, _ = patches.shape
    cells = math.isqrt(k)
    tiles = F.pad(patches, (0, gap, 0, gap), value=255).unflatten(1, (cells, cells))
    side = cells * (p + gap)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(n, c, side, side)[..., :-gap, :-gap]
