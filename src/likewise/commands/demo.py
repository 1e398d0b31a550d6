"""`likewise demo`: the whole story on real data that comes with the installation."""

from __future__ import annotations

from pathlib import Path

from likewise.commands.study import study
from likewise.errors import UserError
from likewise.modalities.run import Run
from likewise.runs.evaluation import Evaluation


def demo(*, out: str | Path = "runs/demo", seeds: int = 6, progress: bool = True) -> Evaluation | Run:
    """The whole story on real data that comes with the installation, in under three minutes on two cores.

    Args:
        out: the run folder; what an earlier demo left there is replaced.
        seeds: repetitions of the evaluation.
        progress: show progress on stderr.
    """
    import shutil

    from likewise.commands.training import is_helper_process

    if Path(out).exists() and not is_helper_process():
        before = Run.open(out)  # raises where the folder is no run at all
        if "--recipe digits-simclr" not in before.config["command"]:
            raise UserError(f"{out} is another run, not a demo's: name another folder with --out")
        shutil.rmtree(out)
    return study("digits", recipe="digits-simclr", labels_per_class=(1, 5, 10), seeds=seeds, out=out, progress=progress)
