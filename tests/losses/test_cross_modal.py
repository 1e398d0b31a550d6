"""CLIP's and SigLIP's losses: the papers' formulas, pair by pair, and all that holds for the other losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exact import with_gradients
from test_gather import N, batch, encoder
from test_linear_memory import Largest
from test_safety import DEGENERATE
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from likewise import losses
from likewise.distributed import rank
from likewise.losses import tiles
from processes import in_processes

Loss = Callable[..., Tensor]


def naive_clip(first: Tensor, second: Tensor, temperature: Any) -> Tensor:
    ways = []
    for one, other in ((first, second), (second, first)):
        for i, half in enumerate(one):
            similarities = [naive.cosine(half, candidate) / temperature for candidate in other]
            ways.append(-torch.log(similarities[i].exp() / naive.total([s.exp() for s in similarities])))
    return naive.mean(ways)


def naive_siglip(first: Tensor, second: Tensor, scale: Any, bias: Any) -> Tensor:
    terms = []
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            evidence = scale * naive.cosine(a, b) + bias
            terms.append(-torch.log(1 / (1 + torch.exp(-(evidence if i == j else -evidence)))))
    return naive.total(terms) / len(first)


def clip(first: Tensor, second: Tensor, temperature: Any) -> Tensor:
    return losses.clip_loss(first, second, temperature=temperature)


def siglip(first: Tensor, second: Tensor, scale: Any, bias: Any) -> Tensor:
    return losses.siglip_loss(first, second, scale=scale, bias=bias)


CASES: dict[str, tuple[Loss, Loss, tuple[float, ...]]] = {
    "clip": (clip, naive_clip, (0.07,)),
    "clip, sharp": (clip, naive_clip, (0.01,)),
    "siglip": (siglip, naive_siglip, (10.0, -10.0)),
    "siglip, sharp": (siglip, naive_siglip, (30.0, -3.0)),
}


def tensors(case: str, dtype: torch.dtype, n: int = 7, d: int = 4, seed: int = 0) -> list[Tensor]:
    """Two halves, then the numbers that can be learned."""
    generator = torch.Generator().manual_seed(seed)
    halves = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    numbers = torch.tensor(CASES[case][2], dtype=torch.float64)
    return [tensor.to(dtype).requires_grad_() for tensor in (*halves, *numbers)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.usefixtures("tiling")
def test_value_and_gradients_are_those_of_the_formula(case: str, dtype: torch.dtype, tolerance: float) -> None:
    loss, formula, _ = CASES[case]
    given_ = tensors(case, dtype)
    exact = [t.detach().double().requires_grad_() for t in given_]
    for got, wanted in zip(with_gradients(loss, given_), with_gradients(formula, exact), strict=True):
        assert got.dtype == dtype
        assert wanted.norm() > 0
        assert (got.double() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("tiling")
def test_gradcheck(case: str) -> None:
    assert torch.autograd.gradcheck(CASES[case][0], tensors(case, torch.float64))


@pytest.mark.parametrize("case", CASES)
def test_only_what_is_asked_for_gets_a_gradient(case: str) -> None:
    loss = CASES[case][0]
    given_ = tensors(case, torch.float64)
    wanted = torch.autograd.grad(loss(*given_), given_)
    for asked in range(len(given_)):
        alone = [t if i == asked else t.detach() for i, t in enumerate(given_)]
        torch.testing.assert_close(torch.autograd.grad(loss(*alone), given_[asked])[0], wanted[asked])


@pytest.mark.parametrize("case", CASES)
def test_the_graph_can_be_used_twice_and_is_not_needed(case: str) -> None:
    given_ = tensors(case, torch.float64)
    value = CASES[case][0](*given_)
    once = torch.autograd.grad(value, given_, retain_graph=True)
    again = torch.autograd.grad(3 * value, given_)
    for a, b in zip(once, again, strict=True):
        torch.testing.assert_close(3 * a, b)
    with torch.no_grad():
        torch.testing.assert_close(CASES[case][0](*given_), value.detach())


@pytest.mark.parametrize("case", CASES)
def test_tiles_of_the_size_in_use(case: str) -> None:
    n = 1100
    loss, _, numbers = CASES[case]

    def matrix(first: Tensor, second: Tensor, *numbers: Tensor) -> Tensor:
        a, b = torch.nn.functional.normalize(first), torch.nn.functional.normalize(second)
        if case.startswith("clip"):
            scores, truth = a @ b.T / numbers[0], torch.arange(n)
            cross_entropy = torch.nn.functional.cross_entropy
            return (cross_entropy(scores, truth) + cross_entropy(scores.T, truth)) / 2
        evidence = (2 * torch.eye(n) - 1) * (numbers[0] * a @ b.T + numbers[1])
        return -torch.nn.functional.logsigmoid(evidence).sum() / n

    given_ = tensors(case, torch.float32, n, 16)
    exact = [t.detach().double().requires_grad_() for t in given_]
    assert len(numbers) == len(given_) - 2
    for got, wanted in zip(with_gradients(loss, given_), with_gradients(matrix, exact), strict=True):
        assert (got - wanted).norm() <= 2e-5 * wanted.norm()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(n=st.integers(2, 12), d=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_order_of_the_batch_roles_rotation_and_lengths_do_not_matter(n: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    lengths = torch.rand(n, 1, generator=generator, dtype=torch.float64) + 0.1
    for case, (loss, _, _) in CASES.items():
        first, second, *numbers = (t.detach() for t in tensors(case, torch.float64, n, d, seed))
        value = loss(first, second, *numbers)
        torch.testing.assert_close(loss(first[order], second[order], *numbers), value)
        torch.testing.assert_close(loss(second, first, *numbers), value)
        torch.testing.assert_close(loss(lengths * first @ rotation, second @ rotation, *numbers), value)


@pytest.mark.parametrize("case", CASES)
def test_numbers_and_tensors_of_any_shape_serve(case: str) -> None:
    loss, _, numbers = CASES[case]
    halves = [t.detach() for t in tensors(case, torch.float32)[:2]]
    value = loss(*halves, *numbers)
    assert value.shape == ()
    torch.testing.assert_close(loss(*halves, *(torch.tensor([number]) for number in numbers)), value)
    torch.testing.assert_close(loss(*(half.double() for half in halves), *numbers).float(), value)


@pytest.mark.parametrize("case", CASES)
def test_memory_is_linear(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    n, d = 300, 4
    monkeypatch.setattr(tiles, "tile_side", lambda device: 32)
    monkeypatch.setattr(tiles, "KEPT_ELEMENTS", 0)
    given_ = tensors(case, torch.float32, n, d)
    with Largest() as largest:
        CASES[case][0](*given_).backward()
    assert all(t.grad is not None and t.grad.any() for t in given_)
    assert 0 < largest.elements <= 2 * n * d


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_finite(case: str, dtype: torch.dtype, kind: str) -> None:
    given_ = tensors(case, dtype)
    leaves = [t.detach().requires_grad_() for t in (*map(DEGENERATE[kind], given_[:2]), *given_[2:])]
    value = CASES[case][0](*leaves)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)


@pytest.mark.parametrize("bias", [-1000.0, 1000.0])
def test_siglip_is_finite_for_any_bias(bias: float) -> None:
    first, second, *_ = tensors("siglip", torch.float32)
    value = losses.siglip_loss(first, second, scale=1000.0, bias=bias)
    value.backward()
    assert value.isfinite()
    assert first.grad is not None
    assert first.grad.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_autocast_and_half_precision_change_nothing_but_the_rounding_of_the_input(case: str) -> None:
    half = [t.detach().bfloat16().requires_grad_() for t in tensors(case, torch.float32)]
    exact = [t.detach().float().requires_grad_() for t in half]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = CASES[case][0](*half)
    wanted = CASES[case][0](*exact)
    torch.testing.assert_close(value, wanted, rtol=0, atol=0)
    gradients = zip(torch.autograd.grad(value, half), torch.autograd.grad(wanted, exact), strict=True)
    for got, full in gradients:
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), full, rtol=1e-2, atol=1e-4)


def test_what_the_values_mean() -> None:
    point = torch.ones(6, 3)
    assert losses.clip_loss(point, point).item() == pytest.approx(math.log(6))
    # Where all is alike, the best bias says "a pair" with the probability that it is one.
    known = losses.siglip_loss(point, point, scale=1.0, bias=-1.0 - math.log(5))
    assert known.item() == pytest.approx(math.log(6) + 5 * math.log(6 / 5))
    pairs = torch.eye(6)
    assert losses.clip_loss(pairs, 3 * pairs, temperature=0.01) < 1e-6
    assert losses.siglip_loss(pairs, 3 * pairs, scale=100.0, bias=-50.0) < 1e-6
    assert losses.siglip_loss(pairs, pairs.roll(1, 0), scale=100.0, bias=-50.0).item() == pytest.approx(100.0)
    one = losses.siglip_loss(pairs[:1], pairs[:1], scale=10.0, bias=-10.0)
    assert one.item() == pytest.approx(math.log(2))


X, Y = torch.ones(4, 3), torch.eye(4, 3)
MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: losses.clip_loss(X, Y[:3]), "second must be of shape (4, 3) as first, got (3, 3)"),
    (lambda: losses.siglip_loss(X, Y[:, :2]), "second must be of shape (4, 3) as first, got (4, 2)"),
    (lambda: losses.siglip_loss(X, Y.double()), "second must be torch.float32 as first, got torch.float64"),
    (lambda: losses.clip_loss(X[:1], Y[:1]), "len(first) must be at least 2, got 1"),
    (lambda: losses.siglip_loss(X[:0], Y[:0]), "len(first) must be at least 1, got 0"),
    (lambda: losses.clip_loss(X, Y, temperature=0.0), "temperature must be above 0, got 0.0"),
    (lambda: losses.siglip_loss(X, Y, scale=-1.0), "scale must be above 0, got -1.0"),
    (lambda: losses.siglip_loss(X, Y, bias=math.nan), "bias must be finite, got nan"),
    (lambda: losses.siglip_loss(X, Y, bias=torch.ones(2)), "bias must be one number, got a tensor of shape (2,)"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
@pytest.mark.usefixtures("unchecked_shapes")
def test_mistakes(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the line after reads the message
        call()
    assert str(caught.value) == message


def of_half(folder: Path) -> dict[str, list[Tensor]]:
    """Values and gradients of the losses in one of two processes, each of which has half of the batch."""
    model = DistributedDataParallel(encoder())
    halves = batch()[:, rank() * N // 2 : (rank() + 1) * N // 2]
    results = {}
    for case, (loss, _, numbers) in CASES.items():
        model.zero_grad()
        first, second = model(torch.cat(list(halves))).chunk(2)
        value = loss(losses.gather(first), losses.gather(second), *numbers)
        value.backward()
        results[case] = [value.detach(), *(p.grad.clone() for p in model.parameters())]
    return results


def test_two_processes_equal_one(tmp_path: Path) -> None:
    two = in_processes(2, of_half, tmp_path)
    for case, (loss, _, numbers) in CASES.items():
        model = encoder()
        value = loss(*(model(half) for half in batch()), *numbers)
        wanted = [value.detach(), *torch.autograd.grad(value, list(model.parameters()))]
        for each in two:
            for got, exact in zip(each[case], wanted, strict=True):
                assert (got - exact).norm() <= 1e-6 * exact.norm().clamp(min=1e-6), case
