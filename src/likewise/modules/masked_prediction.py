"""Prediction of the codes of masked frames (BEST-RQ, arXiv:2202.01855; HuBERT, arXiv:2106.07447)."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.distributed import gather
from likewise.losses.precision import full_precision
from likewise.modules.quantizer import perplexity
from likewise.modules.token_frequencies import Frequencies


class MaskedPrediction(nn.Module):
    """Cross-entropy of codes, and what it is compared with.

    Args:
        codes: how many there are.
    """

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.frequencies = Frequencies(codes)

    @full_precision
    def forward(self, logits: Float[Tensor, "m k"], targets: Int[Tensor, " m"]) -> dict[str, Float[Tensor, ""]]:
        """Means over the masked frames of all processes.

        Args:
            logits: for the masked frames.
            targets: their codes.

        Returns:
            `loss`; `accuracy`, the share of frames whose code has the highest logit; `by_frequency`, the loss of a
            model that knows only how frequent each code is; `code_perplexity`, the effective number of codes among the
            targets.
        """
        count = gather(targets.new_tensor([len(targets)])).sum()

        def mean(x: Tensor) -> Tensor:
            return gather(x.sum(0)[None]).sum(0) / count

        shares = targets.bincount(minlength=logits.shape[1]).to(logits.dtype)[None]
        return {
            "loss": mean(F.cross_entropy(logits, targets, reduction="none")),
            "accuracy": mean((logits.argmax(1) == targets).to(logits.dtype)),
            "by_frequency": self.frequencies(targets),
            "code_perplexity": perplexity(mean(shares)[None]),
        }
