from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.autoencoder import Autoencoder, explained
from likewise.methods.base import Method, TrainingContext
from likewise.methods.denoising_autoencoder import DenoisingAutoencoder
from likewise.seeding import generator_for
from likewise.views import ImageViews

IMAGES = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COURSE = TrainingContext(samples=16, batch_size=8, steps=10, steps_per_epoch=2, read=IMAGES.__getitem__)
BATCH = Batch(IMAGES[:8], torch.arange(8))


def built(cls: type[Method], **options: Any) -> Any:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh())
    encoder.dim = 12  # type: ignore[assignment]
    method = cls(encoder, **options)
    method.views = ImageViews([{"brightness": {"strength": 0.5}}], size=8, channels=1)
    method.prepare(COURSE)
    return method


def views_of(method: Method, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(BATCH, generator_for(seed))


def test_the_loss_is_the_mean_squared_error_of_the_view_through_the_code() -> None:
    method = built(Autoencoder, code_dim=5).double()
    view, target = (v.double() for v in views_of(method))
    assert torch.equal(view, target)
    code = method.encoder(view) @ method.code.weight.T + method.code.bias
    assert code.shape == (8, 5)
    rebuilt = method.decoder(code).float()
    expected = sum((a - b) ** 2 for a, b in zip(rebuilt.flatten().tolist(), view.flatten().tolist(), strict=True))
    answer = method.objective(view, target)
    assert answer["loss"].item() == pytest.approx(expected / view.numel(), rel=1e-6)


def test_explained_is_0_for_the_mean_image_and_1_for_the_image() -> None:
    target = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert explained(target.mean(0).expand_as(target), target).item() == pytest.approx(0, abs=1e-6)
    assert explained(target, target).item() == 1
    half = target.mean(0) + (target - target.mean(0)) / 2
    assert explained(half, target).item() == pytest.approx(0.75, rel=1e-5)


def test_without_a_code_the_embedding_itself_is_decoded() -> None:
    method = built(Autoencoder, code_dim=None)
    view, _ = views_of(method)
    assert torch.equal(method.rebuild(view), method.decoder(method.encoder(view)))


def test_the_decoder_fits_the_views_and_its_weights_depend_on_the_seed_alone() -> None:
    method = built(Autoencoder)
    before = {name: value.clone() for name, value in method.decoder.state_dict().items()}
    torch.manual_seed(99)
    state = torch.get_rng_state()
    method.prepare(COURSE)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in method.decoder.state_dict().items())
    method.prepare(COURSE._replace(seed=1))
    assert any(not torch.equal(value, before[name]) for name, value in method.decoder.state_dict().items())
    method.views = ImageViews([], size=12, channels=3)
    method.prepare(COURSE)
    assert method.decoder(torch.zeros(2, 30)).shape == (2, 3, 12, 12)


def test_a_training_goes_on_with_the_same_decoder() -> None:
    method, other = built(Autoencoder), built(Autoencoder)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1
    other.load_state_dict(method.state_dict())
    view, _ = views_of(method)
    assert torch.equal(method.rebuild(view), other.rebuild(view))


@pytest.mark.parametrize("masked", [0.25, 0.6])
def test_the_damage_hides_a_share_of_the_pixels_and_the_target_is_whole(masked: float) -> None:
    method = built(DenoisingAutoencoder, masked=masked)
    method.views = ImageViews([], size=8, channels=1)
    damaged, target = views_of(method)
    whole = method.views.clean(BATCH.samples)
    assert torch.equal(target, whole)
    hidden = damaged == 0
    assert hidden.float().mean().item() == pytest.approx(masked, abs=0.06)
    assert torch.equal(damaged[~hidden], target[~hidden])
    rebuilt = method.decoder(method.encoder(damaged))
    assert method.objective(damaged, target)["loss"].item() == pytest.approx((rebuilt - whole).square().mean().item())


def test_all_channels_of_a_pixel_are_hidden_together() -> None:
    method = built(DenoisingAutoencoder, masked=0.5)
    damaged = method.damage(torch.ones(4, 3, 8, 8), generator_for(0))
    assert torch.equal(damaged[:, 0], damaged[:, 1])
    assert torch.equal(damaged[:, 0], damaged[:, 2])
    assert 0 < damaged.mean() < 1


def test_noise_is_gaussian_of_its_deviation() -> None:
    method = built(DenoisingAutoencoder, masked=0.0, noise=0.3)
    view = torch.zeros(64, 1, 16, 16)
    noise = method.damage(view, generator_for(0)) - view
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("cls", [Autoencoder, DenoisingAutoencoder])
def test_views_are_a_function_of_the_generator(cls: type[Method]) -> None:
    method = built(cls)
    one, again, other = views_of(method, 1), views_of(method, 1), views_of(method, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])


def test_the_mean_image_is_no_answer_and_a_word_is_said_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(Autoencoder)
    assert method.chance(8) == {"explained": 0.0}
    assert method.degenerate_solution({"explained": 0.0}) is None  # at the beginning it may be
    monkeypatch.setattr(Autoencoder, "progress", 0.5)
    assert "every image is rebuilt as the mean image" in (method.degenerate_solution({"explained": 0.01}) or "")
    assert method.degenerate_solution({"explained": 0.4}) is None
    assert method.degenerate_solution({}) is None


@pytest.mark.parametrize(
    ("cls", "rows"),
    [(Autoencoder, ["original", "rebuilt"]), (DenoisingAutoencoder, ["original", "damaged", "rebuilt"])],
)
def test_pictures_show_what_came_in_and_what_came_out(cls: type[Method], rows: list[str]) -> None:
    method = built(cls).eval()
    with torch.no_grad():
        (figure,) = method.figures(IMAGES[:3], generator_for(5))
        plain = method.views.clean(IMAGES[:3])
        given = plain if cls is Autoencoder else method.damage(plain, generator_for(5))
        rebuilt = method.views.picture(method.rebuild(given))
    assert [row.name for row in figure.rows] == rows
    assert torch.equal(torch.from_numpy(figure.rows[0].pictures), IMAGES[:3])
    assert torch.equal(torch.from_numpy(figure.rows[-1].pictures), rebuilt)
    if cls is DenoisingAutoencoder:
        assert torch.equal(torch.from_numpy(figure.rows[1].pictures), method.views.picture(given))


def test_samples_that_are_nothing_to_look_at_have_no_pictures() -> None:
    class Blind:
        def clean(self, batch: Tensor) -> Tensor:
            return batch / 255

    for cls in (Autoencoder, DenoisingAutoencoder):
        method = built(cls)
        method.views = Blind()
        assert method.figures(IMAGES[:3], generator_for(0)) == []


def test_bad_options_are_named() -> None:
    encoder = image_encoder("resnet8", channels=1, size=8)
    with pytest.raises(UserError, match="code_dim must be at least 1, got 0"):
        build_method("autoencoder", encoder, {"code_dim": 0})
    for options in ({"masked": 1.0}, {"masked": -0.1}, {"noise": -1.0}, {"masked": 0.0}):
        with pytest.raises(
            UserError, match="masked must be from 0 to below 1, noise 0 or more, one of them above 0, got"
        ):
            build_method("denoising-autoencoder", encoder, options)


def test_views_that_are_no_square_images_are_refused() -> None:
    class Flat:
        def clean(self, batch: Tensor) -> Tensor:
            return batch.flatten(1).float()

    method = built(Autoencoder)
    method.views = Flat()
    with pytest.raises(UserError, match=r"views must be square images \(channels, size, size\) .*, got \(64,\)"):
        method.prepare(COURSE)
