import copy
import json

import numpy as np
import pytest
import torch
from evaluation_inputs import Labelled, PixelViews, SmallCNN, dense, evaluate, noise, telltale

from likewise.errors import UserError
from likewise.evaluation import PROTOCOLS, evaluate_encoder


def without_seconds(result):
    result = copy.deepcopy(result)
    for row in [*result["trials"], *result["summary"]]:
        assert row.pop("seconds") >= 0
    return result


@pytest.fixture(scope="module")
def result():
    return evaluate(protocols=list(PROTOCOLS), labels_per_class=(1, 3, "all"))


def test_the_result_is_complete_and_json(result):
    assert json.loads(json.dumps(result)) == result
    assert (result["train"], result["test"]) == ("pile:train", "pile:test")
    assert result["samples"] == {"train": 80, "test": 60}
    assert (result["chance"], result["majority"]) == (0.25, 0.25)
    assert result["protocols"] == list(PROTOCOLS)
    assert list(result["protocol_details"]) == list(PROTOCOLS)
    labels = {name: details["label"] for name, details in result["protocol_details"].items()}
    assert (labels["frozen"], labels["raw-knn"]) == ("Frozen encoder", "Nearest neighbours on raw views")
    used = {name for name, details in result["protocol_details"].items() if details["pretrained"]}
    assert used == {"frozen", "fine-tuned", "frozen-knn"}
    random_with_all = {"scratch", "fine-tuned", "untrained"}
    expected = [
        (protocol, count, seed)
        for protocol in PROTOCOLS
        for count in (1, 3, "all")
        for seed in range(1 if count == "all" and protocol not in random_with_all else 2)
    ]
    assert [(t["protocol"], t["labels_per_class"], t["seed"]) for t in result["trials"]] == expected
    assert [(s["protocol"], s["labels_per_class"]) for s in result["summary"]] == list(
        dict.fromkeys(e[:2] for e in expected)
    )


def test_confusions_give_the_accuracies(result):
    for trial in result["trials"]:
        confusion = dense(trial, 4)
        assert len(trial["confusion"]) == (confusion > 0).sum()
        assert confusion.sum(1).tolist() == [15] * 4
        assert trial["accuracy"] == pytest.approx(np.trace(confusion) / 60)
        assert trial["per_class"] == pytest.approx((np.diag(confusion) / 15).tolist())


def test_trained_protocols_have_learning_curves_and_losses(result):
    for trial in result["trials"]:
        if trial["protocol"].endswith("knn"):
            assert trial["curve"] is None
            assert trial["loss"] is None
            continue
        epochs = [point["epoch"] for point in trial["curve"]]
        assert epochs == sorted(set(epochs))
        assert epochs[0] == 0
        assert 10 <= len(epochs) <= 20
        last = trial["curve"][-1]
        assert last["test_accuracy"] == pytest.approx(trial["accuracy"])
        assert last["test_loss"] == pytest.approx(trial["loss"], rel=1e-4)


def test_the_same_call_gives_the_same_bits_and_changes_nothing_else():
    encoder = SmallCNN()
    weights = copy.deepcopy(encoder.state_dict())
    torch.manual_seed(5)
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    call = {"protocols": list(PROTOCOLS), "labels_per_class": [2], "seeds": 1, "steps": 6, "given": encoder}
    args = (encoder, PixelViews(), telltale(40, 0, "a"), telltale(20, 1, "b"))
    first = evaluate_encoder(*args, **call)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)
    torch.manual_seed(77)
    assert without_seconds(evaluate_encoder(*args, **call)) == without_seconds(first)
    assert encoder.training
    assert all(torch.equal(value, weights[name]) for name, value in encoder.state_dict().items())


def test_a_trial_does_not_depend_on_what_else_is_evaluated(result):
    alone = evaluate(protocols=["fine-tuned"], labels_per_class=[3], seeds=2)
    expected = [
        t for t in without_seconds(result)["trials"] if t["protocol"] == "fine-tuned" and t["labels_per_class"] == 3
    ]
    for trial, other in zip(without_seconds(alone)["trials"], expected, strict=True):
        assert trial["confusion"] == other["confusion"]


def test_test_labels_choose_nothing():
    test = telltale(60, 1, "pile:test")
    mixed = Labelled(test.batch, test.labels()[torch.randperm(60)], test.classes, test.name)
    options = {"protocols": list(PROTOCOLS), "labels_per_class": [3], "seeds": 1}
    honest, shuffled = evaluate(test=test, **options), evaluate(test=mixed, **options)
    for one, other in zip(honest["trials"], shuffled["trials"], strict=True):
        # Column sums: how often each class was answered.
        assert dense(one, 4).sum(0).tolist() == dense(other, 4).sum(0).tolist()
        for a, b in zip(one["curve"] or [], other["curve"] or [], strict=True):
            assert (a["train_loss"], a["train_accuracy"]) == (b["train_loss"], b["train_accuracy"])
    assert [t["confusion"] for t in honest["trials"]] != [t["confusion"] for t in shuffled["trials"]]


def test_progress_ends_where_it_said():
    calls = []
    evaluate(protocols=("scratch", "frozen"), labels_per_class=[1], seeds=1, progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert done[0] == 0
    assert calls[-1] == (calls[0][1], calls[0][1], "done")
    assert calls[0][2] == "scratch, 1 label per class, seed 0"


def one_class(count):
    source = telltale(count, 0, "pile:train", classes=1)
    source.classes = ["c0", "c1"]
    return source


def renamed(source, classes):
    source.classes = classes
    return source


class Unlabelled(Labelled):
    def labels(self):
        raise UserError("pile has no labels")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"labels_per_class": [1, 21]},
            "labels_per_class must be at most 20, or 'all', got 21: class 'c0' of pile:train has only 20",
        ),
        ({"labels_per_class": [0]}, "labels_per_class must be whole numbers of at least 1, or 'all', got 0"),
        ({"labels_per_class": []}, "labels_per_class must be whole numbers of at least 1, or 'all', got none"),
        (
            {"train": one_class(20), "test": one_class(20)},
            "train must have at least two classes, got one class ('c0') in pile:train",
        ),
        (
            {"test": renamed(telltale(20, 1, "pile:test"), ["c0", "cat", "c2", "dog"])},
            "test must have no classes but those of train, got 'cat' and 1 more in pile:test: "
            "pile:train has samples of c0, c1, c2, c3",
        ),
        ({"test": telltale(0, 1, "pile:test")}, "test must have at least one labelled sample, got none in pile:test"),
        (
            {"train": telltale(0, 1, "pile:train")},
            "train must have at least one labelled sample, got none in pile:train",
        ),
        ({"train": Unlabelled(noise(8, 0, "").batch, [0] * 8, [], "pile")}, "pile has no labels"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"seeds": True}, "seeds must be a whole number of at least 1, got True"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"protocols": []}, f"protocols must be some of {', '.join(PROTOCOLS)}, got none"),
        (
            {"protocols": ["frozn"]},
            f"protocols must be some of {', '.join(PROTOCOLS)}, got 'frozn', did you mean 'frozen'?",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(options, message):
    with pytest.raises(UserError) as caught:
        evaluate(**options)
    assert str(caught.value) == message
