"""What must not change a loss: the order of the batch, a rotation of the space, which view comes first."""

from __future__ import annotations

import pytest
import torch
from cases import ALL, COSINE, Case
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise import losses

TWO_VIEWS = [
    lambda a, b: losses.nt_xent(a, b, temperature=0.2),
    lambda a, b: losses.dcl(a, b, temperature=0.2),
    lambda a, b: losses.dcl_w(a, b, temperature=0.2),
    lambda a, b: losses.hcl(a, b, temperature=0.2),
    lambda a, b: losses.nt_xent_hardest(a, b, k=1, temperature=0.2),
    losses.barlow_twins,
    losses.vicreg,
]

shapes = st.tuples(st.integers(2, 12), st.integers(2, 6))
seeds = st.integers(0, 2**31)


def pair(shape: tuple[int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return first, second, generator


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shape=shapes, seed=seeds)
def test_order_of_the_batch_and_of_the_views(shape: tuple[int, int], seed: int) -> None:
    first, second, generator = pair(shape, seed)
    order = torch.randperm(len(first), generator=generator)
    for loss in TWO_VIEWS:
        value = loss(first, second)
        torch.testing.assert_close(loss(first[order], second[order]), value)
        torch.testing.assert_close(loss(second, first), value)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shape=shapes, seed=seeds)
def test_rotation_and_length_do_not_matter_to_cosines(shape: tuple[int, int], seed: int) -> None:
    first, second, generator = pair(shape, seed)
    rotation = torch.linalg.qr(torch.randn(shape[1], shape[1], generator=generator, dtype=torch.float64))[0]
    lengths = torch.rand(len(first), 1, generator=generator, dtype=torch.float64) + 0.1
    for loss in [*TWO_VIEWS[:5], losses.info_nce, losses.negative_cosine]:
        torch.testing.assert_close(loss(lengths * first @ rotation, second @ rotation), loss(first, second))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(shape=shapes, seed=seeds, scale=st.floats(0.1, 10), teacher_dim=st.integers(1, 6))
def test_similarity_matching_sees_the_shape_of_the_cloud_alone(
    shape: tuple[int, int], seed: int, scale: float, teacher_dim: int
) -> None:
    student, shift, generator = pair(shape, seed)
    teacher = torch.randn(len(student), teacher_dim, generator=generator, dtype=torch.float64)
    value = losses.similarity_matching(student, teacher)
    assert -1e-12 <= value <= 4
    rotation = torch.linalg.qr(torch.randn(shape[1], shape[1], generator=generator, dtype=torch.float64))[0]
    order = torch.randperm(len(student), generator=generator)
    moved = (scale * student @ rotation + shift[:1])[order]
    torch.testing.assert_close(losses.similarity_matching(moved, teacher[order]), value)
    torch.testing.assert_close(losses.similarity_matching(student, scale * student @ rotation), torch.zeros_like(value))


@pytest.mark.parametrize("case", [c for c in ALL if "triplet" in c.name or "margin" in c.name], ids=str)
def test_rotation_does_not_matter_to_distances(case: Case) -> None:
    tensors = case.tensors(torch.float64)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator()))[0]
    torch.testing.assert_close(case.loss(*[t @ rotation for t in tensors]), case.loss(*tensors))


@pytest.mark.parametrize("case", [c for c in COSINE if c.temperature], ids=str)
def test_a_number_or_a_tensor_of_any_shape_is_a_temperature(case: Case) -> None:
    *embeddings, temperature = case.tensors(torch.float64)
    value = case.loss(*embeddings, temperature)
    torch.testing.assert_close(case.loss(*embeddings, case.temperature), value)
    torch.testing.assert_close(case.loss(*embeddings, temperature.view(1)), value)


def test_hcl_without_its_two_ideas_is_nt_xent() -> None:
    first, second, _ = pair((8, 4), 0)
    plain = losses.hcl(first, second, temperature=0.2, beta=0.0, tau_plus=0.0)
    torch.testing.assert_close(plain, losses.nt_xent(first, second, temperature=0.2))


def test_all_negatives_are_the_hardest() -> None:
    first, second, _ = pair((8, 4), 0)
    every = losses.nt_xent_hardest(first, second, k=14, temperature=0.2)
    torch.testing.assert_close(every, losses.nt_xent(first, second, temperature=0.2))


def test_sup_con_of_distinct_labels_is_nt_xent() -> None:
    first, second, _ = pair((8, 4), 0)
    distinct = losses.sup_con(first, second, labels=torch.arange(8), temperature=0.2)
    torch.testing.assert_close(distinct, losses.nt_xent(first, second, temperature=0.2))


def test_sup_con_without_a_positive_is_zero() -> None:
    first, _, _ = pair((8, 4), 0)
    first.requires_grad_()
    value = losses.sup_con(first, labels=torch.arange(8))
    value.backward()
    assert value == 0
    assert first.grad is not None
    assert not first.grad.any()
