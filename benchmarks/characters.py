"""Characters of the scripts of Debian's `fonts-noto-core` and `fonts-noto-extra`, drawn as an Omniglot of one's own.

Each letter is a class. Its samples are of the fonts that have it, with stroke, size, rotation, shear and place drawn
anew: white on black, 28 x 28. Whole scripts are held out.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype/noto")
FILE = re.compile(r"Noto(Sans|Serif)([A-Z]\w*)-Regular\.ttf")
PLAIN = ("NotoSans-Regular.ttf", "NotoSerif-Regular.ttf")
SIDE, DRAWN = 28, 96  # pixels of a sample, and of the canvas that it is drawn on
HEIGHT = 52  # of the font, on the canvas
MISSING = "\U000e0fff"  # a code point that no font has: its picture is that of a missing letter
MOST_LETTERS, FEWEST_LETTERS = 40, 10  # of a script
NOVEL_SHARE = 1 / 3
OTHER_NAMES = {
    "Canadian Aboriginal": "CANADIAN SYLLABICS",
    "Tamil Supplement": "TAMIL",
    "Egyptian Hieroglyphs": "EGYPTIAN",
}


class Letter(NamedTuple):
    """A character, and the fonts that have it."""

    script: str
    character: str
    fonts: list[Path]


def scripts(folder: Path) -> dict[str, list[Path]]:
    """The regular fonts of each script: `NotoSansOldTurkic-Regular.ttf` is of Old Turkic."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*-Regular.ttf")):
        if path.name in PLAIN:
            names = ["Greek", "Cyrillic"]
        else:
            names = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[2])] if (match := FILE.fullmatch(path.name)) else []
        for name in names:
            found.setdefault(name, []).append(path)
    return found


def letters(folder: Path, most: int = MOST_LETTERS) -> Iterator[Letter]:
    """The letters of all scripts, evenly spaced where a script has more than `most`."""
    named: dict[str, list[str]] = {}
    for code in range(0x250, 0x1FFFF):
        character = chr(code)
        if unicodedata.category(character) in ("Lo", "Ll"):
            named.setdefault(unicodedata.name(character, "").split(" ")[0], []).append(character)
    for script, fonts in scripts(folder).items():
        prefix = OTHER_NAMES.get(script, script.upper())
        own = [one for one in named.get(prefix.split(" ")[0], []) if unicodedata.name(one).startswith(f"{prefix} ")]
        places = np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int)) if own else []
        found = [Letter(script, own[place], having(fonts, own[place])) for place in places]
        found = [letter for letter in found if letter.fonts]
        if len(found) >= FEWEST_LETTERS:
            yield from found


def having(fonts: list[Path], character: str) -> list[Path]:
    """The fonts that draw a character, and not the sign for a missing one."""
    return [path for path in fonts if (drawn := plain(path, character)) is not None and drawn != plain(path, MISSING)]


def plain(path: Path, character: str) -> bytes | None:
    """The character as it is; None where nothing is drawn."""
    mask = ImageFont.truetype(str(path), 24).getmask(character)
    return bytes(mask) + bytes(mask.size) if mask.getbbox() else None


def sample(letter: Letter, random: np.random.Generator) -> np.ndarray:
    """The letter as another hand might write it: `(28, 28)`."""
    font = ImageFont.truetype(str(letter.fonts[random.integers(len(letter.fonts))]), HEIGHT)
    canvas = Image.new("L", (DRAWN, DRAWN))
    stroke = int(random.integers(3))
    middle = (DRAWN / 2, DRAWN / 2)
    ImageDraw.Draw(canvas).text(middle, letter.character, fill=255, font=font, anchor="mm", stroke_width=stroke)
    box = canvas.getbbox() or (0, 0, DRAWN, DRAWN)
    centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    reach = max(box[2] - box[0], box[3] - box[1])
    angle, shear = random.normal(0, 0.12), random.normal(0, 0.15)
    scale = reach / (SIDE * random.uniform(0.6, 0.85)) * np.exp(random.normal(0, 0.06, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(scale)
    offset = centre - matrix @ (np.array([SIDE, SIDE]) / 2 + random.normal(0, 1, 2))
    rows = [*matrix[0], offset[0], *matrix[1], offset[1]]
    blurred = canvas.reduce(2)
    halved = [value / 2 for value in rows]
    drawn = blurred.transform((SIDE, SIDE), Image.Transform.AFFINE, halved, resample=Image.Resampling.BILINEAR)
    return np.asarray(drawn)


def is_novel(script: str) -> bool:
    """Whether a script is held out: by a hash of its name."""
    return int.from_bytes(hashlib.sha256(script.encode()).digest()[:4], "big") < NOVEL_SHARE * 2**32


def draw_characters(fonts: Path, folder: Path, *, samples: int, most: int = MOST_LETTERS) -> str:
    """Write `base.npz` and `novel.npz`, with images `x` and the letters' names `y`; returns how many there are.

    Args:
        fonts: the folder with the fonts.
        folder: of the two files.
        samples: of each letter.
        most: letters of a script.
    """
    told = []
    found = list(enumerate(letters(fonts, most)))
    for name, novel in (("base", False), ("novel", True)):
        own = [(number, letter) for number, letter in found if is_novel(letter.script) == novel]
        draws = [(letter, np.random.default_rng([0, number])) for number, letter in own]
        images = [sample(letter, random) for letter, random in draws for _ in range(samples)]
        names = [f"{letter.script} {ord(letter.character):X}" for _, letter in own for _ in range(samples)]
        np.savez(folder / f"{name}.npz", x=np.stack(images), y=np.array(names))
        told.append(f"{name}: {len(own):,} letters of {len({letter.script for _, letter in own})} scripts")
    return ", ".join(told)
