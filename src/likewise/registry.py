"""The registry of modalities: the only list of them. A new modality is one module and one line here."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

MODALITIES = {
    "image": "likewise.modalities.image:ImageModality",
    "audio": "likewise.modalities.audio:AudioModality",
    "pair": "likewise.modalities.pair:PairModality",
    "text": "likewise.modalities.text:TextModality",
}
"""name -> "module:class" of a `likewise.modalities.base.Modality`, imported when it is first used.

Data is offered to the modalities in this order, so that a folder of images imports nothing of what reads tables. Text
comes last: any column of a table can be read as text, also one that holds the paths of images or recordings.
"""


def load_modality(name: str) -> Any:
    """The modality of this name, which must be registered."""
    return _load(MODALITIES[name])


@cache
def _load(address: str) -> Any:
    module, attribute = address.split(":")
    return getattr(importlib.import_module(module), attribute)()
