"""Distillation: the objective is what it says, and the teacher stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_methods import Encoder, Views, batch, images, ready, views_of
from torch import Tensor

from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.distill import Distill, standardized
from likewise.seeding import generator_for


def test_the_objective_is_the_formula_of_both_terms() -> None:
    method = ready("distill")
    assert isinstance(method, Distill)
    (view,) = views_of(method)
    result = method.objective(view)
    h, t = method.encoder(view), method.teacher.encoder(view)
    target = (t - t.mean(0)) / t.std(0, correction=0)
    z = h @ method.map.weight.T + method.map.bias
    feature = 1 - torch.stack([(a @ b) / (a.norm() * b.norm()) for a, b in zip(z, target, strict=True)]).mean()

    def cosines(x: Tensor) -> Tensor:
        unit = torch.nn.functional.normalize(x - x.mean(0))
        return unit @ unit.T

    others = ~torch.eye(len(h), dtype=torch.bool)
    similarity = (cosines(h) - cosines(target))[others].square().mean()
    torch.testing.assert_close(result["feature"], feature)
    torch.testing.assert_close(result["similarity"], similarity)
    torch.testing.assert_close(result["loss"], feature + similarity)


def test_weights_of_the_terms() -> None:
    torch.manual_seed(0)
    one = build_method("distill", Encoder(), {"feature_weight": 0.0, "similarity_weight": 2.0})
    assert isinstance(one, Distill)
    one.use_teacher(Encoder())
    result = one.objective(images(torch.float32)[:6])
    torch.testing.assert_close(result["loss"], 2 * result["similarity"])


def test_the_teacher_is_not_changed_and_stays_in_evaluation_mode() -> None:
    class WithNorm(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(self.dim)

        def forward(self, view: Tensor) -> Tensor:
            return self.norm(super().forward(view))

    teacher: Any = WithNorm()
    method = build_method("distill", Encoder(), {})
    assert isinstance(method, Distill)
    method.use_teacher(teacher)
    method.views = Views()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    method.train()
    for step in range(2):
        (view,) = method.make_views(batch(step, dtype=torch.float32), generator_for(step))
        method.objective(view)["loss"].backward()
    assert method.encoder.training
    assert not teacher.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in method.encoder.parameters())


def test_dimensions_that_hardly_vary_are_not_enlarged() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(64, 3, generator=generator, dtype=torch.float64) * torch.tensor([5.0, 1.0, 1e-6])
    found = standardized(z + 100)
    torch.testing.assert_close(found[:, :2].std(0, correction=0), torch.ones(2, dtype=torch.float64))
    assert found[:, 2].abs().max() < 1e-4
    assert not standardized(torch.full((4, 3), 0.1)).any()


def test_what_it_is_compared_with_is_the_teacher() -> None:
    method = ready("distill", dtype=torch.float32)
    first, second = method.embed_pairs(images(torch.float32)[:6], generator_for(3))
    view = method.views(images(torch.float32)[:6], generator_for(3))
    torch.testing.assert_close(first, method.map(method.encoder(view)))
    torch.testing.assert_close(second, standardized(method.teacher.encoder(view)))


def test_impossible_values() -> None:
    with pytest.raises(UserError, match=r"^feature_weight must be 0 or more, got -1\.0$"):
        build_method("distill", Encoder(), {"feature_weight": -1.0})
    with pytest.raises(UserError, match=r"^feature_weight and similarity_weight must not both be 0"):
        build_method("distill", Encoder(), {"feature_weight": 0.0, "similarity_weight": 0.0})
