"""The network that a run keeps, probes and reports is the one of the method's paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from likewise.data.open import open_source
from likewise.evaluation.probe import NeighbourProbe
from likewise.methods import METHODS, method_class
from likewise.report.contents import read_contents
from likewise.report.sections.run import learned_from
from likewise.training.callbacks.checkpoints import newest

SMALL: dict[str, Any] = {"projection_dim": 16, "hidden_dim": 32}
KEPT = {"dino": ("teacher", "teacher.copies.0."), "byol": ("online", "encoder."), "moco-v2": ("online", "encoder.")}
OPTIONS = {
    "dino": {"prototypes": 16, "local_crops": 1, "teacher_momentum": 0.5, "freeze": 0.0},
    "byol": {},
    "moco-v2": {"queue": 256},
}


@pytest.mark.parametrize("name", KEPT)
def test_a_run_keeps_and_probes_the_network_of_the_paper(name: str, working_folder: Path) -> None:
    role, prefix = KEPT[name]
    small = {key: value for key, value in SMALL.items() if name != "moco-v2" or key != "hidden_dim"}
    options = {"encoder": "resnet8", "epochs": 1, "batch_size": 128, "precision": "32-true", "devices": 1}
    run = lw.pretrain(
        "digits", method=name, probe="digits:test", out="run", progress=False, **options, **small, **OPTIONS[name]
    )
    path = newest(run.path / "checkpoints")
    assert path is not None
    state = torch.load(path, weights_only=True)["state_dict"]
    kept = lw.open_run(run.path).encoder.state_dict()
    assert all(torch.equal(value, state[prefix + key]) for key, value in kept.items())
    other = (
        "encoder." if prefix != "encoder." else next(key for key in state if "copies.0." in key).split("0.")[0] + "0."
    )
    assert any(not torch.equal(value, state[other + key]) for key, value in kept.items())
    assert all(parameter.requires_grad for parameter in run.encoder.parameters())

    probe = NeighbourProbe(open_source("digits:test", progress=False))
    measured = [row["probe"] for row in run.history.rows if "probe" in row]
    assert measured[-1] == pytest.approx(probe(run.encoder, run.views, torch.device("cpu")))
    assert run.config["method"]["encoder"] == role
    assert f"trained by {name} ({role} network) on digits" in learned_from(read_contents(run.path))


def test_every_method_says_which_network_it_keeps() -> None:
    roles = {name: method_class(name).deployed_role for name in METHODS}
    assert {name for name, role in roles.items() if role == "teacher"} == {"dino", "dinov2"}
    online = {"byol", "moco-v1", "moco-v2", "moco-v3", "densecl"}
    assert {name for name, role in roles.items() if role == "online"} == online
    assert {*roles.values()} == {"trained", "online", "teacher"}
