import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.losses import alignment, effective_rank, koleo, lidar, spread, uniformity


def cloud(n, dim, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(rows):
    return [row / row.norm() for row in rows]


def test_alignment():
    first, second = cloud(20, 5), cloud(20, 5, seed=1)
    naive = sum(float(((a - b) ** 2).sum()) for a, b in zip(unit(first), unit(second), strict=True)) / 20
    assert float(alignment(first, second)) == pytest.approx(naive)
    assert float(alignment(first, 3 * first)) == pytest.approx(0)
    assert float(alignment(first, -first)) == pytest.approx(4)


def test_uniformity():
    rows = unit(cloud(20, 5))
    pairs = [math.exp(-2 * float(((a - b) ** 2).sum())) for i, a in enumerate(rows) for b in rows[:i]]
    assert float(uniformity(cloud(20, 5))) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    assert float(uniformity(torch.ones(6, 3))) == pytest.approx(0, abs=1e-6)


def test_effective_rank():
    embeddings = cloud(30, 6)
    eigenvalues = torch.linalg.eigvalsh(embeddings.T @ embeddings).sqrt()
    p = eigenvalues / eigenvalues.sum()
    assert float(effective_rank(embeddings)) == pytest.approx(math.exp(-sum(float(x) * math.log(x) for x in p)))
    assert float(effective_rank(torch.eye(7))) == pytest.approx(7, abs=1e-5)
    assert float(effective_rank(torch.ones(9, 4))) == pytest.approx(1, abs=1e-5)


def test_spread():
    embeddings = cloud(50, 4)
    naive = torch.stack(unit(embeddings)).numpy().std(axis=0, ddof=1)
    assert spread(embeddings).tolist() == pytest.approx(naive.tolist())
    assert spread(torch.ones(5, 3)).tolist() == pytest.approx([0, 0, 0])


def test_koleo_of_known_places():
    corners = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    assert float(koleo(corners)) == pytest.approx(-math.log(math.sqrt(2)))
    assert float(koleo(torch.tensor([[1.0, 0], [5, 0], [0, 2]]).double())) == pytest.approx(
        -(2 * math.log(1e-8) + math.log(math.sqrt(2))) / 3
    )
    assert float(koleo(cloud(40, 5))) < float(koleo(cloud(40, 5) + 3))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(n=st.integers(2, 12), d=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_koleo_knows_neither_order_nor_rotation_nor_length(n, d, seed):
    z = cloud(n, d, seed)
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    order, lengths = torch.randperm(n, generator=generator), torch.rand(n, 1, generator=generator) + 0.1
    assert float(koleo((lengths * z)[order] @ rotation)) == pytest.approx(float(koleo(z)), rel=1e-6, abs=1e-6)


def test_descent_on_koleo_spreads():
    z = (cloud(30, 3) + 4).requires_grad_()
    optimizer = torch.optim.SGD([z], lr=1.0)
    before = float(uniformity(z.detach()))
    for _ in range(200):
        optimizer.zero_grad()
        koleo(z).backward()
        optimizer.step()
    assert float(uniformity(z.detach())) < before - 0.5


def views_of(n, q, dim, seed=0, noise=0.5):
    generator = torch.Generator().manual_seed(seed)
    of_samples = torch.randn(n, 1, dim, generator=generator, dtype=torch.float64)
    return of_samples + noise * torch.randn(n, q, dim, generator=generator, dtype=torch.float64)


def naive_lidar(embeddings, delta):
    """Equations 1 and 2 of the paper, an outer product at a time."""
    n, q, dim = embeddings.shape
    means = [sum(sample) / q for sample in embeddings]
    overall = sum(means) / n
    between = sum(torch.outer(mean - overall, mean - overall) for mean in means) / n
    within = sum(
        torch.outer(z - mean, z - mean) for sample, mean in zip(embeddings, means, strict=True) for z in sample
    ) / (n * q) + delta * torch.eye(dim, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    eigenvalues = torch.linalg.eigvalsh(root @ between @ root)
    shares = [float(v / eigenvalues.sum()) for v in eigenvalues if v > 1e-12 * eigenvalues.sum()]
    return math.exp(-sum(p * math.log(p) for p in shares))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 12),
    q=st.integers(2, 5),
    dim=st.integers(1, 10),
    seed=st.integers(0, 2**31),
    delta=st.sampled_from([1e-4, 1.0]),
)
def test_lidar_is_the_papers_and_does_not_depend_on_the_axes(n, q, dim, seed, delta):
    embeddings = views_of(n, q, dim, seed)
    value = float(lidar(embeddings, delta=delta))
    assert value == pytest.approx(naive_lidar(embeddings, delta), rel=1e-6)
    assert 1 - 1e-9 <= value <= min(n - 1, dim) + 1e-9
    rotation = torch.linalg.qr(cloud(dim, dim, seed))[0]
    assert float(lidar(embeddings @ rotation + 3, delta=delta)) == pytest.approx(value, rel=1e-6)
    assert float(lidar(embeddings.flip(0, 1), delta=delta)) == pytest.approx(value, rel=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_lidar_does_not_depend_on_the_units_of_the_dimensions(seed):
    """Up to delta: RankMe would follow the largest dimension."""
    embeddings = views_of(20, 6, 5, seed)
    stretched = embeddings @ torch.diag(torch.tensor([1.0, 3.0, 0.5, 7.0, 2.0], dtype=torch.float64)) @ cloud(5, 5, 1)
    exact = float(lidar(embeddings, delta=1e-12))
    assert float(lidar(stretched, delta=1e-12)) == pytest.approx(exact, rel=1e-5)


def test_lidar_counts_the_dimensions_that_tell_samples_apart():
    generator = torch.Generator().manual_seed(0)
    informative = torch.zeros(200, 8, 30)
    informative[..., :5] = torch.randn(200, 1, 5, generator=generator)
    noise = torch.randn(200, 8, 30, generator=generator)
    assert 4.5 < float(lidar(informative + 0.01 * noise)) < 5.5
    noise[..., :5] *= 0.01
    told = informative + noise  # 25 dimensions that only the augmentation moves
    assert float(lidar(told)) < 6
    assert float(effective_rank(told.flatten(0, 1))) > 20


def test_lidar_of_a_collapse_is_one():
    assert float(lidar(torch.ones(20, 4, 8))) == 1
    assert float(lidar(torch.zeros(20, 4, 8))) == 1
    rounding = 1e-7 * torch.randn(20, 4, 8, generator=torch.Generator().manual_seed(0))
    assert float(lidar(3 + rounding)) == 1
    line = torch.arange(20.0)[:, None, None] * torch.ones(20, 4, 8)
    assert float(lidar(line)) == pytest.approx(1, abs=1e-4)
