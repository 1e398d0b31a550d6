from __future__ import annotations

import pytest
import torch

from likewise.modules.frames import frame_starts, stack_frames


@pytest.mark.parametrize(("of", "frames", "stack"), [(101, 49, 2), (41, 19, 2), (101, 98, 1), (101, 7, 14), (7, 7, 1)])
def test_every_frame_gets_what_sounds_from_its_beginning_on(of: int, frames: int, stack: int) -> None:
    x = torch.randn(2, 3, of, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stacked = stack_frames(x, frames, stack)
    assert stacked.shape == (2, frames, 3 * stack)
    for t in range(frames):
        begin = min(int(t * of / frames), of - stack)
        by_hand = torch.cat([x[:, :, begin + k] for k in range(stack)], dim=1)
        assert torch.equal(stacked[:, t], by_hand)


def test_frames_cover_the_recording_evenly() -> None:
    of_samples = frame_starts(49, 8000)
    assert of_samples[0] == 0
    assert of_samples[-1] == 48
    counts = torch.bincount(of_samples)
    assert counts.max() - counts.min() <= 1
