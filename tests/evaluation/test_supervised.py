import pytest
import torch
from evaluation_inputs import PixelViews, SmallCNN, noise, telltale
from torch import nn

from likewise.evaluation import supervised
from likewise.evaluation.inputs import Machine
from likewise.evaluation.supervised import (
    LabelledSubset,
    Rates,
    budget,
    fine_tuning_rates,
    predict,
    shuffled,
    supervised_batch_size,
    train_classifier,
)

CPU = Machine(torch.device("cpu"), batch_size=16)


def test_more_labels_get_more_steps_but_fewer_passes():
    counts = [1, 10, 100, 1000, 10_000, 60_000]
    steps = [budget(n) for n in counts]
    passes = [s * supervised_batch_size(n, 128) / n for s, n in zip(steps, counts, strict=True)]
    assert steps == sorted(steps)
    assert steps[0] == 120
    assert passes[-1] < passes[-2] < passes[-3]
    assert min(passes) > 5


@pytest.mark.parametrize(
    ("labels", "most", "expected"),
    [(1, 128, 1), (10, 128, 10), (100, 128, 32), (5000, 128, 128), (100, 8, 8)],
)
def test_batch_size(labels, most, expected):
    assert supervised_batch_size(labels, most) == expected


def test_fine_tuning_moves_the_encoder_less_the_fewer_the_labels():
    rates = [fine_tuning_rates(n) for n in (10, 40, 1000, 50_000)]
    assert [r.encoder for r in rates] == pytest.approx([1e-4, 2e-4, 1e-3, 1e-3])
    assert all(r.encoder <= r.head for r in rates)


def test_every_epoch_is_a_new_order_of_everything():
    batches = shuffled(10, 5, torch.Generator().manual_seed(0))
    first, second = (torch.cat([next(batches), next(batches)]).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_large_samples_are_read_when_needed_and_are_the_same(monkeypatch):
    source, indices = noise(20, 0, "s"), torch.tensor([3, 1, 7])
    held = LabelledSubset(source, indices)
    monkeypatch.setattr(supervised, "HELD_BYTES", 10)
    lazy = LabelledSubset(source, indices)
    source_was, source.batch = source.batch, source.batch.clone().zero_()
    assert torch.equal(held.read(torch.tensor([2, 0])), source_was[[7, 3]])
    assert int(lazy.read(torch.tensor([2, 0])).sum()) == 0


def train(count, encoder, steps=60):
    source = telltale(count, 0, "s", classes=2)
    source.batch[:, :, 1:] = source._labels.view(-1, 1, 1, 1).to(torch.uint8) * 200
    head, seen = nn.Linear(16, 2), []
    samples = LabelledSubset(source, torch.arange(count))
    train_classifier(
        encoder,
        head,
        PixelViews(),
        samples,
        source.labels(),
        rates=Rates(1e-2, 1e-2),
        steps=steps,
        batch_size=min(count, 16),
        seed=0,
        machine=CPU,
        points=frozenset({0, 3, steps}),
        watch=lambda step: seen.append((step, encoder.training)),
    )
    return (predict(encoder, head, PixelViews(), samples, CPU).argmax(1) == source.labels()).float().mean(), seen


def test_training_learns_and_is_watched_in_evaluation_mode():
    torch.manual_seed(0)
    accuracy, seen = train(40, SmallCNN())
    assert accuracy == 1
    assert seen == [(0, False), (3, False), (60, False)]


def test_a_single_sample_leaves_batch_statistics_alone():
    torch.manual_seed(0)
    encoder = SmallCNN()
    train(1, encoder, steps=5)
    assert torch.equal(encoder.body[1].running_mean, torch.zeros(8))


def test_a_step_whose_gradient_is_no_number_is_left_out():
    torch.manual_seed(0)
    encoder, calls = SmallCNN(), []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(len(calls))
        return gradient * float("nan") if len(calls) == 7 else gradient

    next(encoder.parameters()).register_hook(spoil)
    accuracy, _ = train(40, encoder)
    assert len(calls) == 60
    assert accuracy == 1
