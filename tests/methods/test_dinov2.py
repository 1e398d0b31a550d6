from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.dinov2 import DINOv2
from likewise.seeding import generator_for
from likewise.views import ImageViews

SIZE, WIDTH, N = 16, 12, 5
SMALL: dict[str, Any] = {"hidden_dim": 7, "projection_dim": 4, "prototypes": 5, "local_crops": 1}
CONTEXT = TrainingContext(samples=50, batch_size=N, steps=100, steps_per_epoch=10)


def built(*, pool: str = "token", **options: Any) -> DINOv2:
    """A student that has moved away from its teacher, as after some steps."""
    torch.manual_seed(0)
    encoder = VisionTransformer(
        SIZE, 4, 1, num_classes=0, global_pool=pool, embed_dim=WIDTH, depth=1, num_heads=2, dynamic_img_size=True
    )
    encoder.dim = WIDTH
    method = DINOv2(encoder, **SMALL | {"teacher_momentum": 1.0} | options).double()
    method.views = ImageViews([], size=SIZE, channels=1)
    with torch.no_grad():
        for seed, parameter in enumerate(method.teacher.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator_for(seed))
        method.mask_token += torch.linspace(-1, 1, WIDTH)
    method.prepare(CONTEXT)
    return method


def views_of(method: DINOv2, seed: int = 0) -> tuple[Tensor, ...]:
    images = torch.randint(0, 256, (N, 1, SIZE, SIZE), dtype=torch.uint8, generator=generator_for(9))
    masks, *crops = method.make_views(Batch(images, torch.arange(N)), generator_for(seed))
    noisy = [crop.double() + 0.5 * torch.randn(crop.shape, generator=generator_for(i)) for i, crop in enumerate(crops)]
    return masks, *noisy


def encoded(vit: Any, view: Tensor, mask: Tensor, token: Tensor) -> Tensor:
    """The tokens of one view, patch by patch."""
    rows = [vit.cls_token[0, 0] + vit.pos_embed[0, 0]]
    for i in range(16):
        top, left = 4 * (i // 4), 4 * (i % 4)
        pixels = view[:, top : top + 4, left : left + 4]
        patch = torch.einsum("dchw,chw->d", vit.patch_embed.proj.weight, pixels) + vit.patch_embed.proj.bias
        rows.append((token if mask[i] else patch) + vit.pos_embed[0, 1 + i])
    return vit.norm(vit.blocks(torch.stack(rows)[None]))[0]


def scores(head: Any, x: Tensor) -> Tensor:
    projector, prototypes = head
    return F.normalize(projector(x), dim=-1) @ F.normalize(prototypes.weight, dim=1).T


def sinkhorn(rows: Tensor, temperature: float) -> Tensor:
    q = (rows / temperature).exp()
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(0) / q.shape[1]
        q = q / q.sum(1, keepdim=True) / q.shape[0]
    return q * q.shape[0]


def as_in_the_paper(method: DINOv2, masks: Tensor, *crops: Tensor) -> dict[str, float]:
    """The three terms, view by view and patch by patch."""
    teacher, class_head, patch_head = method.teacher.copies[0], method.teacher.copies[1], method.teacher.copies[-1]
    nothing = torch.zeros(16, dtype=torch.bool)
    seen = [[encoded(teacher, view, nothing, method.mask_token) for view in crop] for crop in crops[:2]]
    codes = sinkhorn(scores(class_head, torch.stack([t[0] for crop in seen for t in crop])), 0.04)
    student = [
        [encoded(method.encoder, view, masks[i, v], method.mask_token) for i, view in enumerate(crop)]
        for v, crop in enumerate(crops[:2])
    ]
    classes = [torch.stack([tokens[0] for tokens in crop]) for crop in student] + [method.encoder(crops[2])]
    logs = [(scores(method.heads[0], each) / 0.1).log_softmax(1) for each in classes]
    pairs = [(codes[:N], logs[1]), (codes[:N], logs[2]), (codes[N:], logs[0]), (codes[N:], logs[2])]
    dino = sum(-(p * log).sum(1).mean() for p, log in pairs) / 4

    places = [(v, i, p) for v in range(2) for i in range(N) for p in range(16) if masks[i, v, p]]
    assigned = sinkhorn(scores(patch_head, torch.stack([seen[v][i][1 + p] for v, i, p in places])), 0.04)
    ibot = torch.zeros(())
    for (v, i, p), target in zip(places, assigned, strict=True):
        log = (scores(method.heads[-1], student[v][i][1 + p]) / 0.1).log_softmax(0)
        ibot = ibot - (target * log).sum() / masks[i, v].sum() / (2 * N)

    koleo = torch.zeros(())
    for view in classes[:2]:
        z = F.normalize(view, dim=1)
        apart = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist") + 9 * torch.eye(N)
        koleo = koleo - (apart.min(1).values + 1e-8).log().mean()
    return {"dino": dino.item(), "ibot": ibot.item(), "koleo": koleo.item()}


@pytest.mark.parametrize("separate_heads", [True, False])
def test_the_objective_is_the_papers(separate_heads: bool) -> None:
    method = built(separate_heads=separate_heads, patch_weight=0.7, koleo_weight=0.2)
    views = views_of(method)
    expected = as_in_the_paper(method, *views)
    answer = method.objective(*views)
    assert answer["dino"].item() == pytest.approx(expected["dino"], rel=1e-6)
    assert answer["ibot"].item() == pytest.approx(expected["ibot"], rel=1e-6)
    assert answer["koleo"].item() == pytest.approx(expected["koleo"] / 2, rel=1e-6)
    whole = expected["dino"] + 0.7 * expected["ibot"] + 0.2 * expected["koleo"]
    assert answer["loss"].item() == pytest.approx(whole, rel=1e-6)


def test_the_papers_settings_are_the_defaults() -> None:
    method = built(prototypes=6, teacher_momentum=0.992)
    assert len(method.heads) == 2
    assert (method.patch_weight, method.koleo_weight, method.mask_ratio) == (1.0, 0.1, 0.5)
    assert (method.temperature, method.teacher_ends, method.teacher_warmup) == (0.1, (0.04, 0.07), 30.0)


def test_the_student_does_not_see_what_is_masked_and_the_teacher_does() -> None:
    method = built()
    masks, first, *others = views_of(method)
    hidden = masks[:, 0].reshape(N, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert hidden.any()
    changed = torch.where(hidden, first + 1, first)
    both = torch.cat([first, first]), torch.cat([changed, changed])
    masked = masks[:, 0].repeat(2, 1)
    assert torch.equal(*(method.encode_tokens(views, masked) for views in both))
    assert not torch.equal(*(method.codes(views, masked)[1] for views in both))
    assert len(others) == 2


def test_half_of_the_global_views_are_masked() -> None:
    masks = views_of(built())[0]
    assert masks.shape == (N, 2, 16)
    assert int(masks.any(2).sum()) == N
    assert masks.sum(2).max() <= 8


def test_the_teacher_gets_no_gradient_and_all_of_the_student_does() -> None:
    for separate_heads in (True, False):
        method = built(separate_heads=separate_heads)
        method.objective(*views_of(method))["loss"].backward()
        for name, parameter in method.named_parameters():
            assert (parameter.grad is None) == name.startswith("teacher."), name


def test_the_teacher_follows_encoder_and_heads() -> None:
    method = built(separate_heads=False, teacher_momentum=0.9)
    before = [p.clone() for p in method.teacher.parameters()]
    method.objective(*views_of(method))
    student = [*method.encoder.parameters(), *method.heads.parameters()]
    for was, now, follows in zip(before, method.teacher.parameters(), student, strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * follows, rtol=0, atol=1e-12)


def test_an_encoder_that_takes_the_mean_of_its_patches_has_a_teacher_that_does() -> None:
    method = built(pool="avg", koleo_weight=0.0)
    masks, *crops = views_of(method)
    teacher, head = method.teacher.copies[:2]
    seen = torch.cat([scores(head, teacher(crop)) for crop in crops[:2]])
    codes, _ = method.codes(torch.cat(crops[:2]), masks.transpose(0, 1).flatten(0, 1))
    torch.testing.assert_close(torch.cat(codes), sinkhorn(seen, 0.04), rtol=1e-6, atol=1e-9)
    method.encode_tokens = lambda views, masked: method.encoder.forward_features(views)  # type: ignore[method-assign]
    logs = [(scores(method.heads[0], method.encoder(crop)) / 0.1).log_softmax(1) for crop in crops]
    pairs = [(codes[0], logs[1]), (codes[0], logs[2]), (codes[1], logs[0]), (codes[1], logs[2])]
    expected = sum(-(p * log).sum(1).mean() for p, log in pairs) / 4
    assert method.objective(masks, *crops)["dino"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_prototypes_are_held_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(freeze=1.0)
    monkeypatch.setattr(DINOv2, "global_step", 9)
    assert [p.shape for p in method.frozen_parameters(9)] == [(5, 4), (5, 4)]
    assert list(method.frozen_parameters(10)) == []
    assert method.teacher_temperature() == pytest.approx(0.04 + 0.03 * 9 / 300)


def test_chance_is_what_equal_scores_give() -> None:
    method = built()
    for head in method.heads:
        head[1].weight.data[:] = head[1].weight.data[0]
    answer = method.objective(*views_of(method))
    for name, value in method.chance(N).items():
        assert answer[name].item() == pytest.approx(value)
    assert method.chance(N) == {"dino": math.log(5), "ibot": math.log(5) / 2}


def test_mistakes_are_named() -> None:
    resnet = image_encoder("resnet8", channels=1, size=8)
    with pytest.raises(
        UserError, match=r"encoder must be a Vision Transformer of timm, got resnet8: try --encoder vit_tiny"
    ):
        DINOv2(resnet)
    for options, message in [
        ({"prototypes": 1}, "prototypes must be at least 2, got 1"),
        ({"mask_ratio": 1.0}, "mask_ratio must be from 0.1 to below 1, got 1.0"),
        ({"mask_ratio": 0.05}, "mask_ratio must be from 0.1 to below 1, got 0.05"),
        ({"koleo_weight": -1.0}, r"koleo_weight must be 0 or more, got -1\.0"),
        ({"teacher_momentum": 1.5}, "teacher_momentum must be from 0 to 1, got 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
    ]:
        with pytest.raises(UserError, match=message):
            built(**options)
