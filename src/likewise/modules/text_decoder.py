"""A decoder from one vector to a text (TSDAE, arXiv:2104.06979)."""

from __future__ import annotations

import copy
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.encoders.text import TextEncoder
from likewise.errors import needs

WITH_CROSS_ATTENTION = ("bert", "camembert", "electra", "gpt2", "roberta", "roformer", "xlm-roberta")
"""Types of models that transformers builds as decoders too, with attention to what an encoder gives."""


class TextDecoder(nn.Module):
    """The states that predict each token of a text, from the tokens before it and the text's embedding.

    It has the encoder's architecture and shares all of its weights, as in the paper; only the attention to the
    embedding, a sequence of one vector, is its own. For an encoder that transformers does not build as a decoder it is
    a BERT of the same width and depth that shares the token embedding.

    Args:
        encoder: whose embeddings are decoded.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        transformers = needs("transformers", "text")
        super().__init__()
        config = encoder.body.config
        is_shared = config.model_type in WITH_CROSS_ATTENTION
        config = copy.deepcopy(config) if is_shared else _bert_config(encoder)
        config.is_decoder = config.add_cross_attention = True
        config.use_cache = False
        self.body: Any = transformers.AutoModel.from_config(config)
        if getattr(self.body, "pooler", None) is not None:
            self.body.pooler = None
        if is_shared:
            _share(encoder.body, self.body)
        self.body.set_input_embeddings(encoder.embedding)

    def forward(self, ids: Int[Tensor, "n t"], embeddings: Float[Tensor, "n dim"]) -> Float[Tensor, "n t dim"]:
        """The state of each token, which depends on no later one.

        Args:
            ids: texts from their beginnings; what follows padding is not asked for.
            embeddings: of the texts.
        """
        memory = embeddings[:, None]
        return self.body(input_ids=ids, encoder_hidden_states=memory, use_cache=False).last_hidden_state


def _share(encoder: nn.Module, decoder: nn.Module) -> None:
    """Every parameter of the decoder that the encoder also has becomes the encoder's own."""
    known = dict(encoder.named_parameters())
    for name, _ in list(decoder.named_parameters()):
        if name in known:
            path, _, last = name.rpartition(".")
            setattr(decoder.get_submodule(path), last, known[name])


def _bert_config(encoder: TextEncoder) -> Any:
    transformers = needs("transformers", "text")
    width = encoder.dim
    return transformers.BertConfig(
        vocab_size=encoder.embedding.num_embeddings,
        hidden_size=width,
        num_hidden_layers=encoder.body.config.num_hidden_layers,
        num_attention_heads=next(heads for heads in range(max(1, width // 64), 0, -1) if width % heads == 0),
        intermediate_size=4 * width,
        max_position_embeddings=encoder.max_tokens,
        type_vocab_size=1,
        pad_token_id=encoder.pad,
    )
