from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods import siamese
from likewise.methods.siamese import Siamese, pairs_of
from likewise.seeding import generator_for

LABELS = torch.tensor([2, 0, 2, 1, 0])


def distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).sum().sqrt()


def stacked(method: Siamese, views: Tensor, labels: Tensor | None) -> tuple[Tensor, list[int]]:
    """The embeddings of both views of all samples, and what says which of them belong together."""
    same = list(range(len(views[0]))) if labels is None else labels.tolist()
    return method.projector(method.encoder(torch.cat(list(views)))), same * 2


def triplets(z: Tensor, same: list[int], margin: float, mining: str) -> Tensor:
    terms = []
    for i in range(len(z)):
        near = [distance(z[i], z[j]) for j in range(len(z)) if same[j] == same[i] and j != i]
        far = [distance(z[i], z[j]) for j in range(len(z)) if same[j] != same[i]]
        if mining == "batch-hard":
            terms.append(torch.relu(max(near) - min(far) + margin))
        else:
            for positive in near:
                farther = [negative for negative in far if negative > positive]
                terms.append(torch.relu(positive - (min(farther) if farther else max(far)) + margin))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("labels", [None, LABELS], ids=["generated", "labelled"])
def test_semi_hard_triplets_of_unit_vectors_as_in_facenet(labels: Tensor | None) -> None:
    method = built(Siamese, projection_dim=3, margin=0.4)
    views = two_views()
    z, same = stacked(method, views, labels)
    z = torch.stack([row / (row @ row).sqrt() for row in z])
    expected = triplets(z, same, 0.4, "semi-hard")
    assert expected > 0.01
    assert method.objective(*views, labels).item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("labels", [None, LABELS], ids=["generated", "labelled"])
def test_batch_hard_triplets_of_embeddings_as_they_are(labels: Tensor | None) -> None:
    method = built(Siamese, projection_dim=3, margin=0.3, mining="batch-hard")
    views = two_views()
    expected = triplets(*stacked(method, views, labels), 0.3, "batch-hard")
    assert expected > 0.01
    assert method.objective(*views, labels).item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_margin_loss_of_generated_pairs() -> None:
    """Two augmentations attract each other, the second of another sample is pushed beyond the margin."""
    method = built(Siamese, projection_dim=3, loss="margin", margin=2.5)
    views = two_views()
    z1, z2 = stacked(method, views, None)[0].chunk(2)
    pull = [distance(z1[i], z2[i]) ** 2 / 2 for i in range(5)]
    push = [torch.relu(2.5 - distance(z1[i], z2[(i - 1) % 5])) ** 2 / 2 for i in range(5)]
    expected = torch.stack(pull + push).mean()
    assert sum(push) > 0.1
    assert method.objective(*views).item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_margin_loss_of_labelled_pairs() -> None:
    method = built(Siamese, projection_dim=3, loss="margin", margin=2.5, pairs="labelled")
    views = two_views()
    z, same = stacked(method, views, LABELS)
    expected = torch.stack(
        [
            distance(z[i], z[j]) ** 2 / 2 if same[i] == same[j] else torch.relu(2.5 - distance(z[i], z[j])) ** 2 / 2
            for i, j in pairs_of(LABELS.repeat(2)).T.tolist()
        ]
    ).mean()
    assert method.objective(*views, LABELS).item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("classes", [1, 2, 3, 10])
def test_half_of_the_pairs_belong_together_and_half_are_of_two_samples(classes: int) -> None:
    labels = torch.randint(classes, (12,), generator=torch.Generator().manual_seed(classes))
    together, others = pairs_of(labels.repeat(2)).chunk(2, dim=1)
    assert (labels[together[0] % 12] == labels[together[1] % 12]).all()
    assert together.flatten().sort().values.tolist() == list(range(24))  # every view once
    assert (others[0] % 12 != others[1] % 12).all()
    assert others.flatten().sort().values.tolist() == list(range(24))


def test_generated_pairs_are_the_two_views_of_a_sample() -> None:
    assert pairs_of(torch.arange(3).repeat(2)).T.tolist() == [[0, 3], [1, 4], [2, 5], [0, 5], [1, 3], [2, 4]]


@pytest.mark.parametrize("options", [{}, {"mining": "batch-hard"}, {"loss": "margin"}], ids=str)
def test_chance_is_what_equal_embeddings_give(options: dict[str, Any]) -> None:
    method = built(Siamese, projection_dim=3, margin=0.7, **options)
    last = method.projector[-1]
    nn.init.zeros_(last.weight)
    nn.init.ones_(last.bias)
    assert method.objective(*two_views()).item() == pytest.approx(method.chance(5)["loss"], rel=1e-9)


class Views:
    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return batch + torch.rand(batch.shape, generator=generator)


@pytest.mark.parametrize(("pairs", "given"), [("generated", 2), ("labelled", 3)])
def test_labels_are_asked_for_and_passed_on_where_pairs_are_labelled(pairs: str, given: int) -> None:
    method = built(Siamese, pairs=pairs)
    method.views = Views()
    assert method.supervised == (pairs == "labelled")
    views = method.make_views(Batch(torch.zeros(5, 1, 4, 4), torch.arange(5), LABELS), generator_for(0))
    assert len(views) == given
    assert given == 2 or torch.equal(views[2], LABELS)


def test_all_processes_bring_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(Siamese, projection_dim=3, margin=0.3, mining="batch-hard", pairs="labelled")
    monkeypatch.setattr(siamese, "gather", lambda rows: torch.cat([rows, rows]))
    views = two_views()
    z, _ = stacked(method, views, LABELS)
    z1, z2 = z.chunk(2)
    expected = triplets(torch.cat([z1, z1, z2, z2]), LABELS.tolist() * 4, 0.3, "batch-hard")
    assert method.objective(*views, LABELS).item() == pytest.approx(expected.item(), rel=1e-10)


def test_it_shows_the_two_views_of_each_sample() -> None:
    method = built(Siamese, projection_dim=3, pairs="labelled")
    views = two_views()
    method.objective(*views, LABELS)
    z1, z2 = method.tracked
    expected = method.embed(torch.cat(list(views))).detach()
    torch.testing.assert_close(torch.cat([z1, z2]), expected)
    assert not z1.requires_grad


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match=r"loss must be triplet or margin, got 'tripplet', did you mean 'triplet'\?"):
        Siamese(Tiny(), loss="tripplet")
    with pytest.raises(UserError, match=r"mining must be semi-hard or batch-hard, got 'hard'"):
        Siamese(Tiny(), mining="hard")
    with pytest.raises(UserError, match=r"pairs must be generated or labelled, got 'x'"):
        Siamese(Tiny(), pairs="x")
    with pytest.raises(UserError, match=r"margin must be above 0, got 0\.0"):
        Siamese(Tiny(), margin=0.0)
    with pytest.raises(UserError, match="projection_dim must be at least 1, got 0"):
        Siamese(Tiny(), projection_dim=0)
