import pytest
import torch
from evaluation_inputs import SmallCNN
from torch import nn

from likewise.errors import UserError
from likewise.evaluation.reinitialize import reinitialize


def test_every_parameter_is_drawn_anew_and_the_original_stays():
    encoder = SmallCNN()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        encoder.body[1].weight.fill_(5)
    again = reinitialize(encoder)
    assert float(encoder.body[1].weight.detach().mean()) == 5
    assert float(again.body[1].weight.detach().mean()) == 1
    assert not torch.equal(again.body[0].weight, before["body.0.weight"])


def test_a_parameter_that_cannot_be_drawn_is_named():
    class Tokens(SmallCNN):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(3))

    with pytest.raises(UserError, match=r"must draw all its parameters .*, got 'token' without one: give make_encoder"):
        reinitialize(Tokens())
