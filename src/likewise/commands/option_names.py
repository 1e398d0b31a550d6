"""Names of options: what other tools call ours, and how an unknown one is answered."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from likewise.errors import UserError

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "arch": ("encoder",),
    "architecture": ("encoder",),
    "backbone": ("encoder",),
    "base_lr": ("lr",),
    "batch": ("batch_size",),
    "bs": ("batch_size",),
    "clip": ("grad_clip",),
    "clip_grad": ("grad_clip",),
    "data_dir": ("data",),
    "data_path": ("data",),
    "dataset": ("data",),
    "gpus": ("devices",),
    "gradient_clip_val": ("grad_clip",),
    "image_size": ("size",),
    "img_size": ("size",),
    "learning_rate": ("lr",),
    "local": ("local_crops",),
    "masking": ("mask_ratio", "mask_prob"),
    "max_epochs": ("epochs",),
    "max_length": ("max_tokens", "max_new_tokens"),
    "micro_batch": ("micro_batch_size",),
    "model": ("encoder", "run"),
    "n_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "num_gpus": ("devices",),
    "num_threads": ("threads",),
    "opt": ("optimizer",),
    "output": ("out",),
    "output_dir": ("out",),
    "rate": ("lr",),
    "save_dir": ("out",),
    "scheduler": ("schedule",),
    "span": ("mask_length",),
    "tau": ("temperature",),
    "temp": ("temperature",),
    "tokens": ("max_tokens", "max_new_tokens"),
    "topk": ("top_k", "top"),
    "vocabulary": ("vocab_size",),
    "warmup": ("warmup_epochs",),
    "ways": ("protocols",),
    "wd": ("weight_decay",),
}
"""What other tools, and earlier versions, call an option, and its names here: the first that a command takes."""

LOADING = "data is read in batches and loaded in the background automatically, so there is nothing to set"
NOT_NEEDED = {"num_workers": LOADING, "workers": LOADING}
"""Options of other tools that have no counterpart here, and why."""

SEVERAL: dict[str, tuple[str, ...]] = {"query": ("text", "image", "audio")}
"""What several options are for, of which one is chosen."""


class UnknownOption(UserError):
    """An option that a command does not take.

    Args:
        name: as it was given, `learning_rate` or `--learning-rate`.
        known: the options that there are.
        command: the command, for a pointer to its help.
    """

    def __init__(self, name: str, known: Iterable[str], *, command: str) -> None:
        self.name, self.known, self.command = name.lstrip("-").replace("-", "_"), list(known), command
        super().__init__(self._message(str))

    def on_command_line(self) -> str:
        """The message, with options as they are typed."""
        return self._message(flag)

    def _message(self, spell: Callable[[str], str]) -> str:
        unknown = f"unknown option {spell(self.name)}"
        if self.name in NOT_NEEDED:
            return f"{unknown}: {NOT_NEEDED[self.name]}"
        ours = next((name for name in OTHER_NAMES.get(self.name, ()) if name in self.known), None)
        if ours is not None:
            return f"{unknown}; likewise calls it {spell(ours)}"
        several = [name for name in SEVERAL.get(self.name, ()) if name in self.known]
        if several:
            return f"{unknown}; give it as one of {', '.join(map(spell, several))}"
        close = difflib.get_close_matches(self.name, self.known, n=1, cutoff=0.6)
        meant = f", did you mean {spell(close[0])}?" if close else ""
        return f"{unknown}{meant}; `likewise {self.command} --help` lists all options"


def flag(name: str) -> str:
    """`batch_size` as it is typed: `--batch-size`."""
    return "--" + name.replace("_", "-")
