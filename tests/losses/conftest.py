from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import pytest

from likewise.losses import gaussian, geometry, tiles


@pytest.fixture(params=["one tile", "tiles kept", "tiles recomputed"])
def tiling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiles and stripes as in use, where a small batch is one, and small, so that it is many."""
    if request.param != "one tile":
        monkeypatch.setattr(tiles, "tile_side", lambda device: 5)
        monkeypatch.setattr(tiles, "STRIPE_ELEMENTS", 50)
        monkeypatch.setattr(geometry, "STRIPE", 3)
        monkeypatch.setattr(gaussian, "STRIPE_ELEMENTS", 14)
    if request.param == "tiles recomputed":
        monkeypatch.setattr(tiles, "KEPT_ELEMENTS", 0)
    return request.param


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Annotations are not checked, as in use: errors are those of the losses themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
