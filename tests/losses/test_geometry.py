import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.losses import alignment, effective_rank, koleo, spread, uniformity


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
