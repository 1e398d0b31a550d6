"""Seeds of trials: everything random in a trial is a pure function of seed, protocol and number of labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import torch

from likewise.evaluation.inputs import LabelCount


def trial_seed(seed: int, protocol: str, count: LabelCount) -> int:
    """The seed of everything random in one trial."""
    words = [seed, crc32(protocol.encode()), 0 if count == "all" else count]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators, from which initialisation and dropout draw, seeded inside and restored afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
