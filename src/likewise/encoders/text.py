"""Text encoders: token ids `(n, t)`, with `pad` at the ends -> embedding `(n, dim)`.

The architectures are those of transformers, with its initialization, built without weights or read from a local folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from likewise.checks import check_choice, require
from likewise.encoders.base import Encoder, encoder_name
from likewise.encoders.folder import FOLDER, architecture_of, build_model, read_model
from likewise.errors import UserError, nearest, needs

SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768)}
"""Layers and width (arXiv:1908.08962); attention heads are 64 wide."""

STATIC = "static"
STATIC_WIDTHS = (256, 512, 1024)
"""Of encoders without layers."""
STATIC_DEVIATION = 0.2
"""Of their first weights. Much smaller ones grow to several times their size, as where a training diverges."""

POOLINGS = ("mean", "cls", "last")
MAX_TOKENS = 128  # of a text, where nobody says how many are read


class TextEncoder(Encoder):
    """A transformer without its head, or a table of embeddings; its places are the tokens, special ones and padding
    included.

    The features of padding carry no information: `places_mask` is False there. The embedding pools the features of the
    other tokens.

    Attributes:
        causal: whether the features of a token depend only on the tokens up to it.
        max_tokens: the longest text.

    Args:
        body: a model of transformers that gives `last_hidden_state`.
        causal: whether it is a decoder.
        max_tokens: how many positions it has.
        pad: the id of padding, at the ends of texts.
        pooling: `mean` over the tokens of a text, special ones included; the first token, `cls`; or the `last` one.
        marks: special tokens that are left out of the mean, as padding is, because they are the same in every text.

    Raises:
        UserError: for an unknown pooling, or `cls` of a causal encoder.
    """

    config: dict[str, Any]

    def __init__(
        self,
        body: Any,
        *,
        causal: bool,
        max_tokens: int,
        pad: int,
        pooling: str | None,
        config: dict[str, Any],
        marks: Collection[int] = (),
    ) -> None:
        super().__init__()
        pooling = pooling or "mean"
        check_choice(POOLINGS, pooling=pooling)
        sees = not (causal and pooling == "cls")
        require(sees, "pooling", "mean or last in a causal encoder", "'cls', the first token, which sees no other")
        body.config.use_cache = False  # of keys and values: for generation only
        self.body = body
        self.dim = self.features_dim = body.config.hidden_size
        self.causal, self.max_tokens, self.pad, self.pooling = causal, max_tokens, pad, pooling
        self.marks = tuple(marks)
        self.config = config

    @property
    def embedding(self) -> nn.Embedding:
        """The token embedding; language models use it as the weight of their output layer too."""
        return self.body.get_input_embeddings()

    def features(self, view: Int[Tensor, "n t"]) -> Float[Tensor, "n t width"]:
        """The last hidden state of each token; that of padding carries no information."""
        # Later tokens change no feature of a causal encoder: it needs no mask.
        mask = None if self.causal else self.places_mask(view)
        return self.body(input_ids=view, attention_mask=mask).last_hidden_state

    def forward(self, view: Int[Tensor, "n t"]) -> Float[Tensor, "n dim"]:
        longest = int(self._lengths(view).max()) if len(view) else 1
        view = view[:, :longest]  # views that lose tokens may be padding at the end of all
        return self.pool(self.features(view), view)

    def with_features(self, view: Int[Tensor, "n t"]) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n t width"]]:
        """Embedding and features in one pass; the embedding equals that of `forward` up to rounding."""
        features = self.features(view)
        return self.pool(features, view), features

    def pool(self, features: Float[Tensor, "n t width"], view: Int[Tensor, "n t"]) -> Float[Tensor, "n dim"]:
        """The embeddings from the features of the same texts."""
        if self.pooling == "cls":
            return features[:, 0]
        if self.pooling == "last":
            return features[torch.arange(len(view), device=view.device), self._lengths(view) - 1]
        counted = self.places_mask(view)
        return (features * counted[..., None]).sum(1) / counted.sum(1, keepdim=True).clamp(min=1)

    def places_mask(self, view: Int[Tensor, "n t"]) -> Bool[Tensor, "n t"]:
        """Which tokens are in the mean: none of padding."""
        counted = view != self.pad
        for mark in self.marks:
            counted = counted & (view != mark)
        return counted

    def grid(self, view: Int[Tensor, "n t"] | None = None) -> tuple[int]:
        """(tokens,) of the view, padding included."""
        return (self.max_tokens if view is None else view.shape[1],)

    def _lengths(self, view: Int[Tensor, "n t"]) -> Int[Tensor, " n"]:
        return (view != self.pad).sum(1).clamp(min=1)


class TokenTable(nn.Embedding):
    """An embedding of each token, whose first values are normal with a deviation of `STATIC_DEVIATION`."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=STATIC_DEVIATION)


class StaticBody(nn.Module):
    """The embedding of each token, which sees no other, where a transformer has its layers.

    Args:
        width: length of the embeddings.
        vocab_size: how many tokens there are.
    """

    def __init__(self, width: int, *, vocab_size: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_type=STATIC, hidden_size=width, num_hidden_layers=1, use_cache=False)
        self.tokens = TokenTable(vocab_size, width)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.tokens

    def forward(self, *, input_ids: Int[Tensor, "n t"], attention_mask: Bool[Tensor, "n t"] | None) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.tokens(input_ids))


def text_encoder(
    name: str,
    *,
    vocab_size: int,
    max_tokens: int,
    pad: int,
    pooling: str | None = None,
    architecture: dict[str, Any] | None = None,
    marks: list[int] | None = None,
) -> TextEncoder:
    """Build an encoder with random weights (drawn from torch's global generator), or read a pretrained one.

    Args:
        name: `bert-` or `gpt-` and one of `SIZES`; `static-` and one of `STATIC_WIDTHS`, the mean of the embeddings of
            tokens, as sentence-transformers' `StaticEmbedding`; or `hf:FOLDER`, a folder that transformers'
            `save_pretrained` wrote.
        vocab_size: how many tokens there are.
        max_tokens: of the longest text, special ones included.
        pad: the id that fills texts up.
        pooling: see `TextEncoder`; None is the mean.
        architecture: transformers' configuration of what was in FOLDER, to be built again without it, untrained.
        marks: ids of the tokens that texts begin and end with, which a static encoder leaves out of its mean.

    Raises:
        UserError: for an unknown name, a folder that is none or holds no such model, a text or vocabulary that is
            too large for it, or a pooling of a static encoder that is not the mean.
    """
    config = {"name": name, "vocab_size": vocab_size, "max_tokens": max_tokens, "pad": pad, "pooling": pooling}
    body: Any
    left_out: list[int] = []
    if is_static(name):
        require(pooling in (None, "mean"), "pooling", f"mean in {name}, whose tokens see no others", pooling)
        body, causal = StaticBody(_STATIC[name], vocab_size=vocab_size), False
        config["marks"] = left_out = list(marks or ())
    elif name.startswith(FOLDER):
        body = read_model(name, "text") if architecture is None else build_model(architecture, "text")
        causal = _checked(body, name, vocab_size=vocab_size, max_tokens=max_tokens, pad=pad)
        config["architecture"] = architecture_of(body)
    else:
        family, _, size = name.partition("-")
        if family not in _FAMILIES or size not in SIZES:
            known = [*(f"{family}-{size}" for family in _FAMILIES for size in SIZES), *_STATIC]
            listed = ", ".join(known)
            raise UserError(f"unknown encoder '{name}'{nearest(name, known)}; there are {listed} and hf:FOLDER")
        layers, width = SIZES[size]
        body = _FAMILIES[family](layers, width, vocab_size=vocab_size, max_tokens=max_tokens, pad=pad)
        causal = family == "gpt"
    shape: dict[str, Any] = {"max_tokens": max_tokens, "pad": pad, "pooling": pooling}
    return TextEncoder(body, causal=causal, **shape, config=config, marks=left_out)


def is_static(name: str) -> bool:
    """Whether an encoder of this name is a mean of embeddings, without a network."""
    return name in _STATIC


def language_encoder(encoder: nn.Module) -> TextEncoder:
    """The encoder, if it is a text encoder whose token embeddings can serve as output weights.

    Raises:
        UserError: for an encoder of another kind.
    """
    if not isinstance(encoder, TextEncoder):
        name = encoder_name(encoder)
        raise UserError(f"encoder must be a text encoder, got {name}: try --encoder bert-tiny")
    dim, width, name = encoder.embedding.embedding_dim, encoder.features_dim, encoder_name(encoder)
    require(
        dim == width, "encoder", f"one whose token embeddings have {width} numbers, as its features", f"{name}, {dim}"
    )
    return encoder


def causal_encoder(encoder: nn.Module) -> TextEncoder:
    """The encoder, if it is a causal text encoder, which can predict the next token.

    Raises:
        UserError: for an encoder of another kind.
    """
    language = language_encoder(encoder)
    require(language.causal, "encoder", "causal", encoder_name(encoder), "try --encoder gpt-tiny")
    return language


def bert(layers: int, width: int, *, vocab_size: int, max_tokens: int, pad: int, heads: int | None = None) -> Any:
    """BERT (arXiv:1810.04805) without its pooling layer and without segments."""
    transformers = needs("transformers", "text")
    config = transformers.BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads or width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=max_tokens,
        type_vocab_size=1,
        pad_token_id=pad,
    )
    return transformers.BertModel(config, add_pooling_layer=False)


def gpt(layers: int, width: int, *, vocab_size: int, max_tokens: int, pad: int, heads: int | None = None) -> Any:
    """GPT-2 (Radford et al. 2019)."""
    transformers = needs("transformers", "text")
    config = transformers.GPT2Config(
        vocab_size=vocab_size,
        n_embd=width,
        n_layer=layers,
        n_head=heads or width // 64,
        n_positions=max_tokens,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.GPT2Model(config)


_FAMILIES = {"bert": bert, "gpt": gpt}
_STATIC = {f"{STATIC}-{width}": width for width in STATIC_WIDTHS}


def most_tokens(config: Mapping[str, Any]) -> int | None:
    """How many tokens a model of transformers can read, by its config.json; None where it has no limit."""
    most, pad = config.get("max_position_embeddings"), config.get("pad_token_id")
    if not isinstance(most, int) or most <= 0:
        return None
    if "roberta" in str(config.get("model_type")) and isinstance(pad, int):
        most -= pad + 1  # its positions are counted from behind the padding's id
    return most


@torch.no_grad()
def _checked(body: Any, name: str, *, vocab_size: int, max_tokens: int, pad: int) -> bool:
    """Whether a model that is not ours is causal; its pooling layer, which nothing would train, is taken away.

    Raises:
        UserError: when it can't read such texts.
    """
    if body.config.is_encoder_decoder:
        raise UserError(f"encoder '{name}' is an encoder and a decoder ({body.config.model_type}): take one of the two")
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    known = body.get_input_embeddings().num_embeddings
    if known < vocab_size:
        raise UserError(
            f"encoder '{name}' knows {known:,} tokens, the tokenizer has {vocab_size:,}: give the one that "
            "it was trained with, --tokenizer FOLDER/tokenizer.json"
        )
    most = most_tokens(body.config.to_dict())
    if most is not None and max_tokens > most:
        raise UserError(f"encoder '{name}' can't read {max_tokens} tokens: use --max-tokens {most} or fewer")
    one, other = [token for token in range(3) if token != pad][:2]
    texts = torch.full((2, max_tokens), one)
    texts[1, -1] = other
    training = body.training
    states = body.eval()(input_ids=texts, attention_mask=torch.ones_like(texts)).last_hidden_state
    body.train(training)
    return torch.equal(states[0, :-1], states[1, :-1])
