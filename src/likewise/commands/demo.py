"""`likewise demo`: pretrain, evaluate and report on data that comes with the installation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from likewise.commands.study import study
from likewise.errors import UserError
from likewise.modalities.run import Run
from likewise.runs.evaluation import Evaluation

if TYPE_CHECKING:
    from likewise.commands.planned import TrainingPlan


def demo(*, out: str | Path = "runs/demo", seeds: int = 6, progress: bool = True) -> Evaluation | Run | TrainingPlan:
    """Pretrain, evaluate and report on real data that comes with the installation, in minutes.

    Args:
        out: the run folder; an earlier demo in it is replaced.
        seeds: repetitions of the evaluation.
        progress: show progress on stderr.

    Returns:
        The evaluation.
    """
    from likewise.distributed import is_first_process

    if Path(out).exists() and is_first_process():
        earlier = Run.open(out)  # raises where the folder is no run at all
        if "--recipe digits-simclr" not in earlier.config["command"]:
            raise UserError(f"{out} is another run, not a demo's: name another folder with --out")
        shutil.rmtree(out)
    return study("digits", recipe="digits-simclr", labels_per_class=(1, 5, 10), seeds=seeds, out=out, progress=progress)
