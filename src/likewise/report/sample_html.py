"""How samples look on the page: pieces of a sprite sheet, texts, players of sounds, or several of these."""

from __future__ import annotations

from markupsafe import Markup

from likewise.report.sounds import wav_uri
from likewise.report.sprites import SpriteSheet, picture_html, sprite_sheet
from likewise.runs.samples import Samples


def sprites_of(samples: Samples, name: str, *, side: int) -> SpriteSheet | None:
    """The pictures of samples in one sprite sheet, None where they have none; see `sprite_sheet`."""
    return None if samples.pictures is None else sprite_sheet(name, samples.pictures, side=side)


def sample_html(samples: Samples, sprites: SpriteSheet | None, index: int, name: str) -> Markup:
    """One sample: its picture, its text and a player, as far as it has them; `name` says which one it is."""
    text = samples.texts[index] if samples.texts else ""
    parts = []
    if sprites is not None:
        parts.append(picture_html(sprites, index, f"{name}: {text}" if text else name))
    if text:
        parts.append(text_html(text))
    if samples.sounds is not None and samples.sample_rate:
        uri = wav_uri(samples.sounds[index], samples.sample_rate)
        player = Markup('<audio controls preload="metadata" src="{}" aria-label="{}"></audio>')
        parts.append(player.format(uri, name))
    return Markup("").join(parts)


def text_html(text: str) -> Markup:
    """A text, of which the style sheet may hide the end: all of it is in the title."""
    return Markup('<span class="sample-text" dir="auto" title="{}">{}</span>').format(text, text)
