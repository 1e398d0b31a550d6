"""A recipe: every hyperparameter of a training, in one place that can be read, saved and compared."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from likewise.checks import (
    check_choice,
    check_finite,
    check_int,
    check_interval,
    check_non_negative,
    check_positive,
    check_types,
    require,
)
from likewise.data.read_options import LARGEST_SIZE, MOST_CHANNELS, MOST_TOKENS
from likewise.errors import UserError, nearest

OPTIMIZERS = ("sgd", "adam", "adamw", "lars")
SCHEDULES = ("cosine", "constant", "multistep")
MOST_OPTION = {bool: 1, int: 2**20, float: 2**53}  # no layer is wider, no queue or bank is longer
MOST_EPOCHS = 10**9  # that a run's configuration may have
POOLINGS = ("mean", "cls", "last")
MOST_CELLS = 16  # in a row, that an image encoder's last map is averaged over


@dataclass(frozen=True)
class Recipe:
    """What decides a training, apart from its data, its seed and the machine.

    Attributes:
        method: a name of `likewise methods`.
        encoder: a name that `likewise.encoders` knows, or `auto`; of pairs, one for each half: `resnet18+bert-tiny`.
        size: height and width of the views in pixels; None takes the images' own.
        start_size: of images, height and width of the first views, which grow to `size` (see
            `likewise.methods.base.ViewSizes`); None: all have `size`.
        channels: 1 (grey), 3 (RGB), or how many the images have; None takes the images' own.
        tokenizer: of texts: `wordpiece`, `wordpiece-unaccented` or `bpe`, learned from them; or the path of a
            tokenizer.json.
        vocab_size: how many different tokens a tokenizer may learn; None: 8,192.
        max_tokens: length at which texts are cut off, or of the blocks that `bert` and `gpt` read; None: 128.
        pool_grid: of images: so many rows and columns of cells, in each of which the embedding has the mean of the last
            feature map; None or 1: the encoder's own pooling, usually the mean over all places.
        zero_init_residual: of images, with a ResNet: whether each block begins as the identity.
        pooling: what of a text's tokens makes its embedding: `mean`, `cls` or `last`; None: the encoder's usual.
        sample_rate: of recordings, in Hz; None: that of most files, at most 16,000.
        seconds: how much of a recording a view is; None: 1.
        augment: `strong`, `mild`, `none`; of images also `photo`, `photo-mild`, `symbol`, `symbol-mild`, where it is
            known which they are; or a list of operations (see `likewise.views`).
        augment_second: of images, the augmentation of the second view, for methods with two; None: that of the first.
        augment_local: of images, the augmentation of views of small parts; None: that of the first view, with smaller
            crops.
        epochs: passes over the data.
        batch_size: samples a step, over all devices; None: 256, or 128 on a CPU; never more than there are.
        micro_batch_size: views that are encoded at once, for the gradients of a large batch in the memory of a small
            one (see `likewise.losses.encode_cached`); None encodes all at once.
        weights: known weights to go on from: a run folder, `timm:NAME`, `hf:FOLDER`, or a file; of pairs one for each
            half, `none` for random ones: `timm:NAME+none`. None: random ones.
        freeze_epochs: epochs at the beginning in which only the heads learn; None: a tenth with `weights`, else 0.
        encoder_lr: learning rate of the encoder; None: a tenth of `lr` with `weights`, else `lr`.
        layer_decay: factor on the encoder's rate from each layer to the one before it (arXiv:2106.08254); None: 0.75
            with `weights`, else 1.
        lora: with `weights`, the rank of what the encoder learns beside them, which stay as they are
            (arXiv:2106.09685); None: it learns with all weights.
        optimizer: `sgd`, `adam`, `adamw` or `lars`.
        lr: learning rate at the top of its schedule.
        bias_lr: learning rate of biases and norms; None: as other parameters.
        momentum: of SGD and LARS; Adam's first beta.
        betas: both of Adam; None: `momentum` and 0.999.
        weight_decay: of the weights; of biases and norms see `exclude_bias_and_norm`.
        weight_decay_end: weight decay at the end, reached by half a cosine; None: it stays as it is.
        exclude_bias_and_norm: whether biases and norms are not decayed, nor adapted by LARS.
        warmup_epochs: epochs in which the rate rises linearly from `warmup_lr`.
        warmup_lr: learning rate at which the warm-up begins.
        schedule: `cosine` (to `final_lr`), `constant`, or `multistep` (a tenth from each of the `milestones` on).
        final_lr: learning rate at the end of a cosine.
        milestones: of `multistep`, the epochs.
        grad_clip: largest norm of the gradient; None does not clip.
        options: the method's own hyperparameters, such as temperature.
    """

    method: str = "simclr"
    encoder: str = "auto"
    size: int | None = None
    start_size: int | None = None
    channels: int | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    max_tokens: int | None = None
    pool_grid: int | None = None
    zero_init_residual: bool = False
    pooling: str | None = None
    sample_rate: int | None = None
    seconds: float | None = None
    augment: str | list[Any] = "strong"
    augment_second: str | list[Any] | None = None
    augment_local: str | list[Any] | None = None
    epochs: int = 100
    batch_size: int | None = None
    micro_batch_size: int | None = None
    weights: str | None = None
    freeze_epochs: float | None = None
    encoder_lr: float | None = None
    layer_decay: float | None = None
    lora: int | None = None
    optimizer: str = "adamw"
    lr: float = 1e-3
    bias_lr: float | None = None
    momentum: float = 0.9
    betas: list[float] | None = None
    weight_decay: float = 1e-4
    weight_decay_end: float | None = None
    exclude_bias_and_norm: bool = True
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    schedule: str = "cosine"
    final_lr: float = 0.0
    milestones: list[float] | None = None
    grad_clip: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_int(epochs=self.epochs, channels=self.channels, max_tokens=self.max_tokens)
        check_int(1, MOST_EPOCHS, epochs=self.epochs)
        check_int(batch_size=self.batch_size, micro_batch_size=self.micro_batch_size)
        check_int(lora=self.lora)
        if self.lora is not None and self.weights is None:
            raise UserError("lora applies to known weights: name some with --weights, or leave it out")
        check_positive(lr=self.lr, encoder_lr=self.encoder_lr, bias_lr=self.bias_lr)
        check_positive(grad_clip=self.grad_clip, seconds=self.seconds)
        check_non_negative(weight_decay=self.weight_decay, weight_decay_end=self.weight_decay_end)
        self._check_schedule()
        check_interval(0, 1, closed="right", layer_decay=self.layer_decay)
        check_interval(0, 1, closed="left", momentum=self.momentum)
        in_training = 0 <= self.warmup_epochs <= self.epochs
        require(in_training, "warmup_epochs", f"from 0 to epochs ({self.epochs})", self.warmup_epochs)
        thaws = self.freeze_epochs is None or 0 <= self.freeze_epochs < self.epochs
        require(thaws, "freeze_epochs", f"from 0 to below epochs ({self.epochs})", self.freeze_epochs)
        check_choice(OPTIMIZERS, optimizer=self.optimizer)
        check_int(1, MOST_CELLS, pool_grid=self.pool_grid)
        check_choice(POOLINGS, pooling=self.pooling)
        for name, value in self.options.items():  # what else it must be, the method knows
            if isinstance(value, int | float):
                check_finite(**{name: value})
                most = MOST_OPTION[type(value)]
                require(abs(value) <= most, name, f"from {-most:,} to {most:,}", value)
        require(self.size is None or self.size >= 4, "size", "at least 4 px", self.size)
        check_int(4, LARGEST_SIZE, size=self.size, start_size=self.start_size)
        check_int(1, MOST_CHANNELS, channels=self.channels)
        check_int(1, MOST_TOKENS, max_tokens=self.max_tokens)
        check_int(vocab_size=self.vocab_size, sample_rate=self.sample_rate)

    def _check_schedule(self) -> None:
        """Raise `UserError` for impossible rates, betas, weight decay or milestones."""
        for name in ("warmup_lr", "final_lr"):
            rate = getattr(self, name)
            check_non_negative(**{name: rate})
            require(rate <= self.lr, name, f"at most lr, {self.lr:g}", rate)
        check_choice(SCHEDULES, schedule=self.schedule)
        for value in self.betas or ():
            check_interval(0, 1, closed="left", betas=value)
        require(self.betas is None or len(self.betas) == 2, "betas", "two numbers, such as 0.9 0.95", self.betas)
        for value in self.milestones or ():
            require(0 < value <= MOST_EPOCHS, "milestones", f"above 0 and at most {MOST_EPOCHS:,}", value)
        by_milestones = self.schedule == "multistep"
        require(bool(self.milestones) or not by_milestones, "milestones", "given for multistep", self.milestones)
        require(by_milestones or not self.milestones, "schedule", "multistep where milestones are given", self.schedule)
        grows = self.weight_decay_end and not self.weight_decay
        require(not grows, "weight_decay", "above 0 where weight_decay_end is", self.weight_decay)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Recipe:
        """A recipe from values that a user wrote: whole numbers serve as numbers, other types are refused.

        Raises:
            UserError: for a value of the wrong type, or an impossible one.
        """
        return cls(**check_types(values, _HINTS))

    def with_(self, **changes: Any) -> Recipe:
        """A copy with other values; names that are not the recipe's own are the method's options.

        Raises:
            UserError: for a value of the wrong type, or an impossible one.
        """
        mine = {name: value for name, value in changes.items() if name in _HINTS}
        options = {name: value for name, value in changes.items() if name not in _HINTS}
        if mine.get("schedule", "multistep") != "multistep":  # a recipe's milestones are of its own schedule
            mine.setdefault("milestones", None)
        return Recipe.of(self.to_dict() | mine | {"options": self.options | options})

    def to_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def to_yaml(self) -> str:
        import yaml

        return yaml.safe_dump(self.to_dict(), sort_keys=False)


_HINTS = get_type_hints(Recipe)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("likewise") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """A recipe by its name, or from a YAML file of the same keys.

    Raises:
        UserError: for an unknown name or key (with the nearest right one), or an impossible value.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"no recipe file {name}")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"recipe {name} must be UTF-8, byte {error.start + 1:,} is not") from error
    elif name in recipe_names():
        text = (resources.files("likewise") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        names = recipe_names()
        raise UserError(f"unknown recipe '{name}'{nearest(name, names)}; there are {', '.join(names)}, or FILE.yaml")
    return parse_recipe(text, name)


def parse_recipe(text: str, name: str) -> Recipe:
    """A recipe from YAML text; `name` is its name in messages."""
    import yaml

    try:
        values = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # a date of month 13, a deep list
        raise UserError(f"recipe {name} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise UserError(f"recipe {name} must be a list of `key: value` lines, got {type(values).__name__}")
    for key in values:
        if key not in _HINTS:
            raise UserError(f"recipe {name} has no key '{key}'{nearest(key, _HINTS)}; the keys are {', '.join(_HINTS)}")
    return Recipe.of(values)
