"""The scikit-learn transformer."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Tags
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import likewise as lw
from likewise.sklearn import Embedder
from small_data import sentences
from small_files import section


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def digits(folder: Path) -> lw.Run:
    return lw.pretrain("digits", epochs=4, batch_size=128, out="digits", precision="32-true", progress=False)


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits, uint8 `(n, 8, 8)`, and which."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return (pixels[:count] / 16 * 255).astype(np.uint8).reshape(-1, 8, 8), labels[:count]


def test_a_pipeline_learns_from_embeddings(digits: lw.Run) -> None:
    x, y = images(400)
    model = make_pipeline(Embedder("digits"), LogisticRegression(max_iter=2000))
    model.fit(x[:200], y[:200])
    assert model.score(x[200:], y[200:]) > 0.6
    embeddings = model[0].transform(x)
    assert embeddings.shape == (400, digits.encoder.dim)
    assert embeddings.dtype == np.float32
    assert np.array_equal(embeddings, digits.encode(x))
    assert cross_val_score(model, x[:100], y[:100], cv=2).shape == (2,)
    search = GridSearchCV(Pipeline([("embed", Embedder(digits)), ("head", LogisticRegression())]), {"head__C": [1, 10]})
    assert search.fit(x[:100], y[:100]).best_params_["head__C"] in (1, 10)


def test_images_may_be_flattened(digits: lw.Run) -> None:
    x, _ = images(20)
    embedder = Embedder(digits).fit(x)
    assert np.array_equal(embedder.transform(x.reshape(20, 64)), embedder.transform(x))
    with pytest.raises(lw.UserError, match=r"must have 8 \* 8 \* 1 = 64 columns, got 49.*could be \(n, 7, 7\)"):
        embedder.transform(np.zeros((3, 49)))


def test_texts_are_a_column(folder: Path) -> None:
    texts = sentences(60)
    how = {"epochs": 1, "batch_size": 16, "precision": "32-true", "progress": False}
    run = lw.pretrain(texts, method="simcse", vocab_size=100, out="texts", **how)
    labels = [section(text) for text in texts]
    model = make_pipeline(Embedder("texts"), LogisticRegression()).fit(texts, labels)
    assert set(model.predict(np.array(texts[:5], dtype=object))) <= {"low", "high"}
    assert np.array_equal(Embedder(run).transform(texts), run.encode(texts))


def test_names_parameters_and_clones(digits: lw.Run) -> None:
    embedder = Embedder(digits, batch_size=64).fit(None)
    assert embedder.get_params() == {"run": digits, "modality": None, "sample_rate": None, "batch_size": 64}
    names = embedder.get_feature_names_out()
    assert names[0] == "embedder0"
    assert len(names) == digits.encoder.dim
    again = clone(embedder)
    assert again.run is digits
    assert not hasattr(again, "run_")
    assert clone(Embedder("digits")).run == "digits"
    x, _ = images(5)
    assert np.array_equal(pickle.loads(pickle.dumps(Embedder("digits").fit(x))).transform(x), embedder.transform(x))
    pytest.importorskip("pandas")
    frame = Embedder(digits).set_output(transform="pandas").fit_transform(x)
    assert list(frame.columns) == list(names)


def test_mistakes_are_told_by_fit(digits: lw.Run, tmp_path: Path) -> None:
    with pytest.raises(lw.UserError, match="no run folder nowhere"):
        Embedder("nowhere").fit(None)
    (tmp_path / "config.json").write_text((digits.path / "config.json").read_text())
    with pytest.raises(lw.UserError, match="is not finished"):
        Embedder(tmp_path).fit(None)


class RunOfTables(lw.Run):
    """A run that takes tables of numbers, as scikit-learn's checks give them: three cosines of each row."""

    def __init__(self) -> None:
        super().__init__(Path("tables"), {"source": {"modality": "table"}, "read_options": {}, "views": None})
        self._encoder = nn.Identity()
        self._encoder.dim = 3  # type: ignore[assignment]

    def encode(self, samples: Any, **_: Any) -> np.ndarray:
        rows = np.asarray(samples, dtype=np.float64)
        return np.cos(rows.sum(axis=1, keepdims=True) * [1, 2, 3]).astype(np.float32)


class OfTables(Embedder):
    """An embedder of such a run."""

    def _opened(self) -> lw.Run:
        return RunOfTables()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


UNSEEN = "fit learns nothing, so it does not look at the samples: Run.encode checks them in transform"
NO_TABLE = "samples are images, texts or recordings, which have no columns to count"
EXPECTED_FAILURES = {
    "check_do_not_raise_errors_in_init_or_set_params": "annotations are checked at run time here, in the tests only",
    "check_complex_data": UNSEEN,
    "check_estimator_sparse_tag": UNSEEN,
    "check_estimators_empty_data_messages": UNSEEN,
    "check_estimators_nan_inf": UNSEEN,
    "check_fit1d": UNSEEN,
    "check_fit2d_predict1d": UNSEEN,
    "check_n_features_in": NO_TABLE,
    "check_n_features_in_after_fitting": NO_TABLE,
}


def test_the_checks_of_scikit_learn_pass_where_they_apply() -> None:
    results = check_estimator(OfTables("run"), expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    xfailed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert xfailed == set(EXPECTED_FAILURES)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert {
        "check_transformer_general",
        "check_estimators_pickle",
        "check_set_params",
        "check_fit_idempotent",
    } <= passed
