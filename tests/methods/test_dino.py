from __future__ import annotations

import copy
import math

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor
from torch.nn import functional as F

from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.dino import DINO
from likewise.modules.ema import cosine_momentum
from likewise.seeding import generator_for

SMALL = {"hidden_dim": 7, "projection_dim": 4, "prototypes": 5, "local_crops": 2}
CONTEXT = TrainingContext(samples=50, batch_size=5, steps=100, steps_per_epoch=10)


def crops(samples: int = 5, local_crops: int = 2) -> list[Tensor]:
    parts = torch.randn(local_crops, samples, 1, 4, 4, generator=generator_for(4), dtype=torch.float64)
    return [*two_views(samples), *parts]


def unlike_its_teacher(**options: float) -> DINO:
    """A student that has moved away from its teacher, and a centre, as after some steps."""
    dino = built(DINO, teacher_momentum=1.0, **SMALL | options)
    with torch.no_grad():
        for seed, parameter in enumerate(dino.teacher.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator_for(seed))
        dino.center += torch.linspace(-0.1, 0.1, 5)
    return dino


def scores(encoder: object, projector: object, weight: Tensor, view: Tensor) -> Tensor:
    z = projector(encoder(view))  # type: ignore[operator]
    return torch.stack([torch.stack([F.cosine_similarity(row, w, dim=0) for w in weight]) for row in z])


def student_and_teacher(dino: DINO, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    encoder, projector, prototypes = dino.teacher.copies
    students = [scores(dino.encoder, dino.projector, dino.prototypes.weight, view) for view in views]
    return students, [scores(encoder, projector, prototypes.weight, view) for view in views[:2]]


def test_the_loss_is_the_papers_cross_entropy_over_all_crops() -> None:
    dino = unlike_its_teacher(temperature=0.2, teacher_start=0.05)
    dino.prepare(CONTEXT)
    students, teachers = student_and_teacher(dino, crops())
    center = dino.center.clone()
    pairs = []
    for i, teacher in enumerate(teachers):
        target = ((teacher - center) / 0.05).softmax(1)
        pairs += [-(target * (s / 0.2).log_softmax(1)).sum(1).mean() for j, s in enumerate(students) if j != i]
    assert len(pairs) == 6
    answer = dino.objective(*crops())
    assert answer["loss"].item() == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-10)


def test_the_centre_follows_the_teachers_mean_after_the_loss() -> None:
    dino = unlike_its_teacher()
    _, teachers = student_and_teacher(dino, crops())
    expected = 0.9 * dino.center + 0.1 * torch.cat(teachers).mean(0)
    dino.objective(*crops())
    torch.testing.assert_close(dino.center, expected, rtol=0, atol=1e-12)


def test_the_teacher_gets_no_gradient_and_all_of_the_student_does() -> None:
    dino = unlike_its_teacher()
    dino.objective(*crops())["loss"].backward()
    for name, parameter in dino.named_parameters():
        assert (parameter.grad is None) == name.startswith("teacher."), name


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_teacher_follows_with_a_momentum_that_rises_to_1(progress: float, monkeypatch: pytest.MonkeyPatch) -> None:
    dino = unlike_its_teacher()
    dino.momentum = 0.9
    monkeypatch.setattr(DINO, "progress", progress)
    before = copy.deepcopy(list(dino.teacher.parameters()))
    dino.objective(*crops())
    student = [*dino.encoder.parameters(), *dino.projector.parameters(), *dino.prototypes.parameters()]
    momentum = cosine_momentum(0.9, progress)
    for was, now, follows in zip(before, dino.teacher.parameters(), student, strict=True):
        torch.testing.assert_close(now, momentum * was + (1 - momentum) * follows, rtol=0, atol=1e-12)


def test_the_teachers_temperature_goes_in_a_line_and_the_prototypes_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    dino = built(DINO, teacher_warmup=2.0, freeze=1.0, **SMALL)
    dino.prepare(CONTEXT)
    for step, temperature in [(0, 0.04), (10, 0.055), (20, 0.07), (99, 0.07)]:
        monkeypatch.setattr(DINO, "global_step", step)
        assert dino.teacher_temperature() == pytest.approx(temperature)
    assert [parameter is dino.prototypes.weight for parameter in dino.frozen_parameters(9)] == [True]
    assert list(dino.frozen_parameters(10)) == []
    dino.teacher_warmup = 0.0
    assert dino.teacher_temperature() == 0.07


def test_a_checkpoint_holds_teacher_and_centre() -> None:
    dino, other = unlike_its_teacher(), built(DINO, **SMALL)
    other.load_state_dict(dino.state_dict())
    dino.momentum = other.momentum = 0.9
    assert torch.equal(dino.objective(*crops())["loss"], other.objective(*crops())["loss"])
    assert torch.equal(dino.center, other.center)


def test_code_entropy_shows_a_collapse_to_one_prototype() -> None:
    dino = unlike_its_teacher()
    assert dino.objective(*crops())["code_entropy"].item() > 0.3
    dino.center[:] = torch.tensor([-9.0, 9, 9, 9, 9])
    assert dino.objective(*crops())["code_entropy"].item() < 1e-6


def test_chance_is_what_equal_scores_give() -> None:
    dino = built(DINO, **SMALL)
    assert dino.chance(8) == {"loss": math.log(5)}
    with torch.no_grad():
        dino.prototypes.weight[:] = dino.prototypes.weight[0]
    assert dino.objective(*crops())["loss"].item() == pytest.approx(math.log(5))


def test_a_vision_transformer_takes_views_of_parts() -> None:
    torch.manual_seed(0)
    dino = DINO(
        image_encoder("vit_tiny", channels=1, size=28), hidden_dim=16, projection_dim=8, prototypes=6, local_crops=1
    )
    views = [torch.randn(2, 1, size, size, generator=generator_for(size)) for size in (28, 28, 12)]
    dino.objective(*views)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in dino.encoder.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in dino.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prototypes": 1}, "prototypes must be at least 2, got 1"),
        ({"teacher_momentum": 1.5}, "teacher_momentum must be from 0 to 1, got 1.5"),
        ({"teacher_start": 0.0}, "teacher_start must be above 0, got 0.0"),
        ({"teacher_warmup": -1.0}, "teacher_warmup must be 0 or more, got -1.0"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DINO(Tiny(), **{"prototypes": 5, "hidden_dim": 4} | options)


def test_a_last_layer_that_is_not_normalised_learns_the_length_of_each_prototype() -> None:
    dino = unlike_its_teacher(norm_last_layer=False)
    usual = unlike_its_teacher()
    assert torch.equal(dino.prototypes.weight, usual.prototypes.weight)
    z = torch.randn(3, 4, generator=generator_for(2), dtype=torch.float64)
    assert torch.equal(dino.prototypes(z), usual.prototypes(z))  # lengths begin at 1
    with torch.no_grad():
        dino.prototypes.scale[1] = 3.0
    lengths = torch.tensor([1.0, 3, 1, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(dino.prototypes(z), lengths * usual.prototypes(z))
    dino.objective(*crops())["loss"].backward()
    assert dino.prototypes.scale.grad.abs().min() > 0
    dino.prepare(CONTEXT)
    assert {id(p) for p in dino.frozen_parameters(0)} == {id(dino.prototypes.weight), id(dino.prototypes.scale)}
    assert len(dino.teacher.copies[2].state_dict()) == 2
    assert usual.prototypes.scale is None


def test_the_heads_weights_can_begin_truncated_normal() -> None:
    torch.manual_seed(0)
    dino = DINO(Tiny(), hidden_dim=200, projection_dim=100, prototypes=5, init_std=0.02)
    for layer in (layer for layer in dino.projector if isinstance(layer, torch.nn.Linear)):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert layer.weight.mean().abs().item() < 0.002
        assert not layer.bias.any()


def test_the_students_blocks_are_skipped_and_the_teachers_are_not() -> None:
    torch.manual_seed(0)
    encoder = image_encoder("vit_micro", channels=1, size=8)
    dino = DINO(encoder, hidden_dim=16, projection_dim=8, prototypes=6, local_crops=0, drop_path=0.3)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in encoder.body.blocks]
    assert rates == pytest.approx([0.0, 0.15, 0.3])
    view = torch.randn(64, 1, 8, 8, generator=generator_for(0))
    teacher = dino.deployed_encoder
    assert torch.equal(teacher(view), teacher(view))
    assert not torch.equal(encoder(view), encoder(view))
    assert teacher.state_dict().keys() == encoder.state_dict().keys()
    torch.testing.assert_close(encoder.eval()(view), teacher(view))
    with pytest.raises(UserError, match="encoder must be a Vision Transformer of timm, got"):
        DINO(Tiny(), prototypes=5, hidden_dim=4, drop_path=0.1)
    with pytest.raises(UserError, match=r"drop_path must be from 0 to below 1, got 1\.0"):
        DINO(Tiny(), prototypes=5, hidden_dim=4, drop_path=1.0)
