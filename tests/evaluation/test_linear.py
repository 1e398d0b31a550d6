import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from likewise.evaluation.linear import FEW_LABELS_VARIANCE, VARIANCES, choose_variance, fit_linear


def samples(count, dim, classes, seed, signal):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    return signal * centres[labels] + torch.randn(count, dim, generator=generator), labels


@pytest.mark.parametrize("variance", [1.0, 100.0])
def test_the_optimum_is_scikit_learns(variance):
    features, labels = samples(120, 12, 4, seed=0, signal=0.5)
    head = fit_linear(features, labels, 4, variance=variance, iterations=500)
    reference = LogisticRegression(C=variance / 12, tol=1e-8, max_iter=5000).fit(features.double(), labels)
    expected = torch.from_numpy(reference.predict_proba(features.double())).float()
    torch.testing.assert_close(head(features).softmax(1).detach(), expected, atol=2e-3, rtol=0)


def test_the_solvers_memory_does_not_grow_with_its_iterations(monkeypatch):
    solvers, solver = [], torch.optim.LBFGS
    monkeypatch.setattr(torch.optim, "LBFGS", lambda *a, **k: solvers.append(solver(*a, **k)) or solvers[0])
    features, labels = samples(120, 12, 4, seed=0, signal=0.5)
    fit_linear(features, labels, 4, variance=100.0)
    (state,) = solvers[0].state.values()
    assert state["n_iter"] > 20
    assert len(state["old_dirs"]) == len(state["old_stps"]) == 10


def test_separable_features_are_separated():
    features, labels = samples(200, 20, 5, seed=0, signal=4.0)
    held_out, truth = samples(100, 20, 5, seed=1, signal=4.0)
    head = fit_linear(features, labels, 5, variance=FEW_LABELS_VARIANCE)
    assert torch.equal(head(held_out).argmax(1), truth)


def test_callbacks_change_nothing_and_see_the_loss_fall():
    features, labels = samples(60, 8, 3, seed=0, signal=0.5)
    losses = {}

    def record(iteration, head):
        losses[iteration] = F.cross_entropy(head(features), labels).item()

    watched = fit_linear(features, labels, 3, variance=10.0, callback_steps=frozenset({0, 5, 100}), callback=record)
    alone = fit_linear(features, labels, 3, variance=10.0)
    assert list(losses) == [0, 5, 100]
    assert losses[0] == pytest.approx(torch.tensor(3.0).log())
    assert losses[0] > losses[5] > losses[100]
    torch.testing.assert_close(watched(features), alone(features), atol=1e-2, rtol=0)


def test_regularisation_is_chosen_by_held_out_labels():
    clear, labels = samples(60, 10, 3, seed=0, signal=3.0)
    assert choose_variance(clear, labels, 3) > 1
    meaningless, labels = samples(60, 10, 3, seed=0, signal=0.0)
    assert choose_variance(meaningless, labels, 3) == VARIANCES[0]
    assert choose_variance(clear[:6], labels[:6], 3) == FEW_LABELS_VARIANCE
