from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.encoders.vit import to_patches
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.mae import MAE
from likewise.seeding import generator_for
from likewise.views import ImageViews

IMAGES = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def built(*, patch: int = 4, **options: Any) -> MAE:
    torch.manual_seed(0)
    encoder = VisionTransformer(16, patch, num_classes=0, embed_dim=32, depth=2, num_heads=2)
    encoder.dim = 32
    method = MAE(encoder, **{"decoder_dim": 32, "decoder_depth": 1, **options})
    method.views = ImageViews([], size=16, channels=3)
    return method


def views_of(method: MAE, seed: int = 0) -> tuple[Tensor, Tensor]:
    view, shuffle = method.make_views(Batch(IMAGES, torch.arange(8)), generator_for(seed))
    return view, shuffle


def as_in_the_paper(method: MAE, view: Tensor, shuffle: Tensor, visible: int) -> Tensor:
    """The loss, sample by sample and patch by patch."""
    vit, decoder, losses = method.encoder, method.decoder, []
    for image, order in zip(view, shuffle.tolist(), strict=True):
        pixels = [image[:, i : i + 4, j : j + 4] for i in range(0, 16, 4) for j in range(0, 16, 4)]
        tokens = [vit.cls_token[0, 0] + vit.pos_embed[0, 0]]
        for patch in order[:visible]:
            embedded = torch.einsum("dchw,chw->d", vit.patch_embed.proj.weight, pixels[patch])
            tokens.append(embedded + vit.patch_embed.proj.bias + vit.pos_embed[0, 1 + patch])
        encoded = vit.norm(vit.blocks(torch.stack(tokens)[None]))[0]
        narrow = decoder.narrow(encoded)
        full = [narrow[0]]
        for patch in range(16):
            place = order.index(patch)
            token = narrow[1 + place] if place < visible else decoder.mask_token[0, 0]
            full.append(token + decoder.positions[patch])
        predicted = decoder.pixels(decoder.norm(decoder.blocks(torch.stack(full)[None])))[0, 1:]
        for patch in order[visible:]:
            target = pixels[patch].permute(1, 2, 0).flatten()
            target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            losses.append((predicted[patch] - target).square().mean())
    return torch.stack(losses).mean()


def test_the_objective_is_the_papers() -> None:
    method = built().double()
    view, shuffle = views_of(method)
    answer = method.objective(view.double(), shuffle)
    expected = as_in_the_paper(method, view.double(), shuffle, visible=4)
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize(("mask_ratio", "visible"), [(0.75, 4), (0.5, 8), (0.9, 2)])
def test_every_sample_hides_exactly_its_share(mask_ratio: float, visible: int) -> None:
    method = built(mask_ratio=mask_ratio)
    view, shuffle = views_of(method)
    assert torch.equal(shuffle.sort(dim=1).values, torch.arange(16).expand(8, -1))
    assert method.visible == visible
    assert method.encode_visible(view, shuffle[:, : method.visible]).shape == (8, 1 + visible, 32)
    assert len(set(map(tuple, shuffle[:, :visible].sort(dim=1).values.tolist()))) > 1  # each sample its own


def test_the_shuffle_is_undone_exactly() -> None:
    method = built()
    _, shuffle = views_of(method)
    rows = torch.arange(16).expand(8, -1).gather(1, shuffle)
    assert torch.equal(rows.gather(1, shuffle.argsort(1)), torch.arange(16).expand(8, -1))


def test_every_patch_is_masked_as_often_as_any_other() -> None:
    method = built()
    seen = torch.zeros(16)
    for seed in range(200):
        seen += torch.bincount(views_of(method, seed)[1][:, :4].flatten(), minlength=16)
    share = seen / (200 * 8)
    assert share.sum().item() == pytest.approx(4)
    assert (share - 0.25).abs().max() < 5 * (0.25 * 0.75 / 1600) ** 0.5


def test_masks_are_a_function_of_the_generator() -> None:
    method = built()
    (_, one), (_, again), (_, other) = views_of(method, 1), views_of(method, 1), views_of(method, 2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_only_masked_patches_are_asked_for() -> None:
    method = built().double()
    view, shuffle = views_of(method)
    predicted = method.reconstruct(view.double(), shuffle).detach()
    patches = to_patches(view.double(), 4, 4)
    mean, deviation = method.statistics(patches)
    for place, changes in ((0, False), (15, True)):
        other = predicted.clone()
        other[torch.arange(8), shuffle[:, place]] += 1.0
        losses = []
        for answer in (predicted, other):
            method.reconstruct = lambda *_, answer=answer: answer  # type: ignore[method-assign]
            losses.append(method.objective(view.double(), shuffle)["loss"].item())
        assert (losses[0] != losses[1]) == changes
    perfect = (patches - mean) / deviation
    method.reconstruct = lambda *_: perfect  # type: ignore[method-assign]
    assert method.objective(view.double(), shuffle)["loss"].item() == 0


def test_predicting_every_patchs_mean_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built()
    view, shuffle = views_of(method)
    method.reconstruct = lambda *_: torch.zeros(8, 16, 48)  # type: ignore[method-assign]
    answer = method.objective(view, shuffle)
    assert answer["explained"].item() == method.chance(8)["explained"] == 0
    assert answer["loss"].item() == pytest.approx(47 / 48, rel=1e-4)  # the variance's own correction
    figures = {name: float(value) for name, value in answer.items()}
    assert method.degenerate_solution(figures) is None  # at the beginning it may
    monkeypatch.setattr(MAE, "progress", 0.5)
    assert "every patch is rebuilt as its mean" in (method.degenerate_solution(figures) or "")
    assert method.degenerate_solution({"explained": 0.3}) is None


def test_patches_of_one_pixel_are_normalised_by_the_image() -> None:
    method = built(patch=1)
    view, shuffle = views_of(method)
    mean, deviation = method.statistics(to_patches(view, 1, 1))
    torch.testing.assert_close(mean.flatten(), view.mean((1, 2, 3)))
    torch.testing.assert_close(deviation.flatten(), view.flatten(1).std(1))
    assert method.objective(view, shuffle)["loss"].isfinite()


def test_micro_batches_give_the_gradient_of_the_batch() -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built().double()
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        view, shuffle = views_of(method)
        method.objective(view.double(), shuffle)["loss"].backward()
        gradients.append([p.grad for p in method.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for whole, cached in zip(*gradients, strict=True):
        torch.testing.assert_close(cached, whole, rtol=1e-9, atol=1e-12)


def test_pictures_show_what_was_masked_and_what_was_put_there() -> None:
    method = built().eval()
    with torch.no_grad():
        (figure,) = method.figures(IMAGES[:3], generator_for(4))
        shuffle = torch.rand(3, 16, generator=generator_for(4)).argsort(1)
        view = method.views.clean(IMAGES[:3])
        predicted = method.reconstruct(view, shuffle)
    assert [row.name for row in figure.rows] == ["original", "masked", "rebuilt"]
    original, masked, rebuilt = (to_patches(torch.from_numpy(row.pictures).float(), 4, 4) for row in figure.rows)
    assert torch.equal(torch.from_numpy(figure.rows[0].pictures), IMAGES[:3])
    grey = to_patches(method.views.picture(torch.zeros_like(view)).float(), 4, 4)
    mean, deviation = method.statistics(to_patches(view, 4, 4))
    for sample in range(3):
        for place, patch in enumerate(shuffle[sample].tolist()):
            if place < 4:
                assert torch.equal(masked[sample, patch], original[sample, patch])
                assert torch.equal(rebuilt[sample, patch], original[sample, patch])
            else:
                assert torch.equal(masked[sample, patch], grey[sample, patch])
                painted = (predicted * deviation + mean)[sample, patch].reshape(4, 4, 3).permute(2, 0, 1)
                bytes_ = method.views.picture(painted[None]).float()
                assert torch.equal(rebuilt[sample, patch], to_patches(bytes_, 4, 4)[0, 0])


def test_bad_options_are_named() -> None:
    resnet = image_encoder("resnet8", channels=1, size=8)
    with pytest.raises(
        UserError, match=r"encoder must be a Vision Transformer of timm, got resnet8: try --encoder vit_tiny"
    ):
        build_method("mae", resnet, {})
    for mask_ratio in (0.0, 0.99, 1.0, -0.5, 1.5):
        with pytest.raises(
            UserError, match=f"mask_ratio must be such that some of the 16 patches are .*, got {mask_ratio}"
        ):
            built(mask_ratio=mask_ratio)
    with pytest.raises(UserError, match="decoder_dim must be a multiple of 32, got 40"):
        built(decoder_dim=40)
    with pytest.raises(UserError, match="decoder_depth must be at least 1, got 0"):
        built(decoder_depth=0)
