"""What every protocol has: a name, how it is shown, what it costs, and its run on one draw of labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from jaxtyping import Int
from torch import Tensor

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class LineStyle(NamedTuple):
    """How charts draw a protocol. Solid lines are for protocols that the eye should compare first."""

    color: str = "--ink"
    """A colour of the report's page.css: --vermillion, --blue, --green, --purple, --sky, --grey or --ink."""
    dash: str = "dashdot"
    """solid, dash, dot or dashdot."""
    marker: str = "cross"
    """circle, square, diamond or cross, hollow with "-open"."""


@dataclass(frozen=True)
class ProtocolResult:
    """What a protocol predicted from one draw of labels."""

    predicted: Int[Tensor, " test"]
    """Class of each test sample, a position in the evaluation's classes."""
    loss: float | None = None
    """Mean cross-entropy on the test split, in nats; None for a protocol without probabilities."""
    curve: list[dict[str, float]] | None = None
    """Points of `evaluation.curves.curve_point`; None for a protocol that is not trained."""


class EvaluationProtocol(ABC):
    """One procedure to classify the test split from a draw of labels.

    A protocol is a subclass with these attributes and `run`, and a line in `likewise.evaluation.protocols`. An
    instance serves one evaluation, and may keep what its trials share.
    """

    name: ClassVar[str]
    """What `--protocols` and the result call it."""
    label: ClassVar[str]
    """What people read, with a capital letter; `{raw}` stands for the name of the raw features."""
    style: ClassVar[LineStyle] = LineStyle()
    pretrained: ClassVar[bool] = False
    """Whether it uses the pretrained encoder."""
    deterministic: ClassVar[bool] = False
    """Whether only the draw of labels is random, so that with all labels every seed gives the same result."""
    needs_given: ClassVar[bool] = False
    """Whether it needs the known weights that the training went on from."""
    default: ClassVar[bool] = True
    """Whether it is run when no protocols are named."""

    @abstractmethod
    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        """Learn from the labels of `evaluation.draws[seed, count]` and classify the test split.

        torch's global generators are seeded with `trial_seed(seed, self.name, count)`.
        """

    def cost(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> int:
        """About how many samples a trial passes through an encoder or a classifier: what the progress counts."""
        return len(evaluation.test)

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        """Entries of the result's "settings": what is needed to repeat this protocol."""
        return {}

    def details(self, raw: str) -> dict[str, Any]:
        """Its entry of the result's "protocol_details", from which tables and charts are made.

        Args:
            raw: what the raw features are called.
        """
        return {
            "label": self.label.replace("{raw}", raw),
            "style": self.style._asdict(),
            "pretrained": self.pretrained,
        }
