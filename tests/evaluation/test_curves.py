import pytest
import torch
from torch.nn import functional as F

from likewise.evaluation.curves import curve_point, curve_steps


@pytest.mark.parametrize("steps", [3, 10, 120, 4899])
def test_curves_begin_at_the_start_and_end_at_the_end(steps):
    measured = sorted(curve_steps(steps))
    assert (measured[0], measured[-1]) == (0, steps)
    assert len(measured) == min(steps, 10) + 1


def test_a_point_has_loss_and_accuracy_of_both_splits():
    train = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    test = torch.tensor([[0.0, 3.0]]), torch.tensor([1])
    point = curve_point(1.5, train, test)
    assert point == {
        "epoch": 1.5,
        "train_loss": pytest.approx(float(F.cross_entropy(*train))),
        "train_accuracy": 0.5,
        "test_loss": pytest.approx(float(F.cross_entropy(*test))),
        "test_accuracy": 1.0,
    }
