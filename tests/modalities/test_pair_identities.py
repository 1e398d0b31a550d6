"""Equal parts of pairs are known as equal, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.data.open import open_source
from likewise.modalities import pair


def test_padding_does_not_tell_recordings_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is padded to its longest: the same recording is read with other padding in another batch."""
    monkeypatch.setattr(pair, "AT_ONCE", 2)
    short, long = (np.random.default_rng(0).uniform(-1, 1, length).astype(np.float32) for length in (4000, 8000))
    one, _, other, _ = pair.identities(open_source([short, long, short, short / 2], sample_rate=8000, progress=False))
    assert one == other
    assert len(set(pair.identities(open_source([short, long, short / 2], sample_rate=8000, progress=False)))) == 3
