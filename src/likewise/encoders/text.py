"""Text encoders: token ids `(n, t)`, filled up with `pad` -> embedding `(n, dim)`.

The architectures are those of transformers, built without weights or read from a local folder; their positions, their
attention and their initialisation are its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.errors import UserError, nearest, needs

SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768)}
"""Layers and width (arXiv:1908.08962); a head is 64 wide."""

POOLINGS = ("mean", "cls", "last")
KINDS = (
    "albert", "bart", "bert", "camembert", "deberta-v2", "distilbert", "electra", "gemma", "gemma2", "gpt2", "gpt_neo",
    "gpt_neox", "llama", "mistral", "modernbert", "mpnet", "opt", "qwen2", "qwen3", "roberta", "roformer", "t5",
    "xlm-roberta",
)  # fmt: skip
"""Types of models that are read: their code is in transformers. Others may bring their own, or pickled weights."""
FOLDER = "hf:"


class TextEncoder(nn.Module):
    """A transformer without its head, that knows what it takes and what it gives.

    Attributes: `dim` and `width`, the length of embedding and states, which are the same; `causal`, whether a state has
    seen only the tokens up to its own; `max_tokens`, the longest text; `config`, what `text_encoder(**config)` needs to
    build it again.

    Args:
        body: a model of transformers that gives `last_hidden_state`.
        causal: whether it is a decoder.
        max_tokens: how many positions it has.
        pad: the id that fills texts up, at their ends.
        pooling: `mean` of the states of a text, special tokens among them; that of the first token, `cls`, or of the
            `last`.

    Raises:
        UserError: for an unknown pooling, or one that sees nothing of the text.
    """

    def __init__(
        self, body: Any, *, causal: bool, max_tokens: int, pad: int, pooling: str | None, config: dict[str, Any]
    ) -> None:
        super().__init__()
        pooling = pooling or "mean"
        if pooling not in POOLINGS:
            raise UserError(
                f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}{nearest(pooling, POOLINGS)}"
            )
        if causal and pooling == "cls":
            raise UserError(
                "pooling cls takes the first token, and in a causal encoder it sees no other: use mean or last"
            )
        body.config.use_cache = False  # of keys and values: for writing only
        self.body = body
        self.dim: int = body.config.hidden_size
        self.width = self.dim
        self.causal, self.max_tokens, self.pad, self.pooling = causal, max_tokens, pad, pooling
        self.config = config

    @property
    def embedding(self) -> nn.Embedding:
        """Of the tokens; language models name tokens by it too."""
        return self.body.get_input_embeddings()

    def states(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n t width"]:
        """One for each token; those of `pad` mean nothing."""
        # What comes after a text changes no state of a causal encoder: it needs no mask.
        mask = None if self.causal else ids != self.pad
        return self.body(input_ids=ids, attention_mask=mask).last_hidden_state

    def forward(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n dim"]:
        real = ids != self.pad
        lengths = real.sum(1).clamp(min=1)
        longest = int(lengths.max()) if len(ids) else 1
        ids, real = ids[:, :longest], real[:, :longest]  # views that lose tokens may be padding at the end of all
        states = self.states(ids)
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "last":
            return states[torch.arange(len(ids), device=ids.device), lengths - 1]
        return (states * real[..., None]).sum(1) / lengths[:, None]


def text_encoder(
    name: str,
    *,
    vocab_size: int,
    max_tokens: int,
    pad: int,
    pooling: str | None = None,
    architecture: dict[str, Any] | None = None,
) -> TextEncoder:
    """Build an encoder with random weights (drawn from torch's global generator), or read a pretrained one.

    Args:
        name: `bert-` or `gpt-` and one of `SIZES`; or `hf:FOLDER`, a folder that transformers' `save_pretrained` wrote.
        vocab_size: how many tokens there are.
        max_tokens: of the longest text, special ones included.
        pad: the id that fills texts up.
        pooling: see `TextEncoder`; None is the mean.
        architecture: transformers' configuration of what was in FOLDER, to be built again without it, untrained.

    Raises:
        UserError: for an unknown name, a folder that is none or holds no such model, or a text or vocabulary that is
            too large for it.
    """
    config = {"name": name, "vocab_size": vocab_size, "max_tokens": max_tokens, "pad": pad, "pooling": pooling}
    if name.startswith(FOLDER):
        body = _read(name.removeprefix(FOLDER)) if architecture is None else _rebuilt(architecture)
        causal = _checked(body, name, vocab_size=vocab_size, max_tokens=max_tokens, pad=pad)
        config["architecture"] = json.loads(body.config.to_json_string())
    else:
        family, _, size = name.partition("-")
        if family not in _FAMILIES or size not in SIZES:
            known = [f"{family}-{size}" for family in _FAMILIES for size in SIZES]
            listed = ", ".join(known)
            raise UserError(f"unknown encoder '{name}'{nearest(name, known)}; there are {listed} and hf:FOLDER")
        layers, width = SIZES[size]
        body = _FAMILIES[family](layers, width, vocab_size=vocab_size, max_tokens=max_tokens, pad=pad)
        causal = family == "gpt"
    return TextEncoder(body, causal=causal, max_tokens=max_tokens, pad=pad, pooling=pooling, config=config)


def language_encoder(encoder: nn.Module) -> TextEncoder:
    """An encoder that has a state for every token.

    Raises:
        UserError: for an encoder of another kind.
    """
    if not isinstance(encoder, TextEncoder):
        name = (getattr(encoder, "config", None) or {}).get("name", type(encoder).__name__)
        raise UserError(
            f"encoder must be one of texts, with a state for every token, got {name}: try --encoder bert-tiny"
        )
    if encoder.embedding.embedding_dim != encoder.width:
        raise UserError(
            f"encoder {encoder.config['name']} has states of {encoder.width} numbers, its tokens "
            f"{encoder.embedding.embedding_dim}: it can't name tokens by their embeddings, take another"
        )
    return encoder


def causal_encoder(encoder: nn.Module) -> TextEncoder:
    """A text encoder whose states have seen only what comes before: they can be asked for the next token.

    Raises:
        UserError: for an encoder of another kind.
    """
    language = language_encoder(encoder)
    if not language.causal:
        raise UserError(
            f"encoder must be causal, to be asked for the next token, got {language.config['name']}, which sees it: "
            "try --encoder gpt-tiny"
        )
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


def _read(folder: str) -> Any:
    """The model of a folder, in float32; nothing is fetched, unpickled or run that came with it."""
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"encoder 'hf:{folder}': there is no such folder")
    if not (path / "config.json").is_file():
        raise UserError(f"encoder 'hf:{folder}': the folder has no config.json, which save_pretrained writes")
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"encoder 'hf:{folder}': the folder has no .safetensors, and pickled weights are not opened: "
            "save them again with save_pretrained"
        )
    try:
        kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"encoder 'hf:{folder}': its config.json is not that of a model") from error
    _check_kind(str(kind), f"encoder 'hf:{folder}'")
    transformers = needs("transformers", "text")
    log = transformers.utils.logging
    verbosity, shows = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()  # heads that are left out are no news
    log.disable_progress_bar()
    try:
        body, info = transformers.AutoModel.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # of many kinds, from three libraries
        raise UserError(f"encoder 'hf:{folder}' can't be read: {str(error).strip().splitlines()[0]}") from error
    finally:
        log.set_verbosity(verbosity)
        if shows:
            log.enable_progress_bar()
    missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
    if missing:
        raise UserError(f"encoder 'hf:{folder}' lacks weights: {missing[0]} and {len(missing) - 1} more")
    return body.train()


def _rebuilt(architecture: dict[str, Any]) -> Any:
    transformers = needs("transformers", "text")
    kind = str(architecture.get("model_type"))
    _check_kind(kind, "the run's encoder")
    # Where its code lies is no part of an architecture.
    values = {name: value for name, value in architecture.items() if name != "auto_map"}
    try:
        config = transformers.AutoConfig.for_model(**values)
        return transformers.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # a configuration from elsewhere may hold anything
        raise UserError(f"the run's encoder can't be built: {str(error).strip().splitlines()[0]}") from error


def _check_kind(kind: str, what: str) -> None:
    """Raise `UserError` unless a model's code is part of transformers and runs nothing that came with the model."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"{what} can't be read: its model type must be one of {known}, got {kind!r}")


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
    most = getattr(body.config, "max_position_embeddings", None) or max_tokens
    if "roberta" in body.config.model_type:  # its positions are counted from behind the padding's id
        most -= body.config.pad_token_id + 1
    if max_tokens > most:
        raise UserError(f"encoder '{name}' can't read {max_tokens} tokens: use --max-tokens {most} or fewer")
    one, other = [token for token in range(3) if token != pad][:2]
    texts = torch.full((2, max_tokens), one)
    texts[1, -1] = other
    training = body.training
    states = body.eval()(input_ids=texts, attention_mask=torch.ones_like(texts)).last_hidden_state
    body.train(training)
    return torch.equal(states[0, :-1], states[1, :-1])
