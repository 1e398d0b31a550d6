"""Folders of transformers and sentence-transformers, and the tokenizer that goes with a graph."""

from __future__ import annotations

import copy
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.tokens import load
from likewise.encoders.folder import EXTRAS
from likewise.encoders.text import StaticBody, TextEncoder
from likewise.errors import needs
from likewise.exporters.files import MODEL, write_object, write_tensors
from likewise.exporters.subject import Subject

TOKENIZER = "tokenizer.json"
POOLINGS = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}
"""What sentence-transformers calls the poolings."""
INPUTS = ["input_ids", "attention_mask"]


def write_tokenizer(subject: Subject, path: Path) -> None:
    """A tokenizer that makes `[CLS] tokens [SEP]`, cut after the longest text, padded to the longest of a batch."""
    tokenizer, special = load(subject.views.tokenizer)
    tokenizer.enable_truncation(subject.views.max_tokens)
    tokenizer.enable_padding(pad_id=special["pad"], pad_token=tokenizer.id_to_token(special["pad"]))
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def write_plain_tokenizer(subject: Subject, path: Path) -> None:
    """A tokenizer without beginning, end and padding, cut after the tokens of the longest text.

    It has no special tokens: what a text says is none, and its reader can't be told so.
    """
    tokenizer, _ = load(subject.views.tokenizer)
    tokenizer.enable_truncation(subject.views.max_tokens - 2)
    plain = json.loads(tokenizer.to_str()) | {"post_processor": None, "padding": None}
    plain["added_tokens"] = [token for token in plain["added_tokens"] if not token["special"]]
    path.write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")


def write_transformers_folder(subject: Subject, folder: Path) -> None:
    """Write what `AutoModel` and `AutoTokenizer`, or of recordings `AutoFeatureExtractor`, load."""
    transformers = needs("transformers", EXTRAS[subject.modality])
    body = body_of(subject)
    config = copy.deepcopy(body.config)
    config.architectures = [type(body).__name__]
    config.dtype = "float32"
    config.save_pretrained(folder)
    write_tensors(folder / MODEL, body.state_dict())
    if subject.modality == "audio":
        extractor = transformers.Wav2Vec2FeatureExtractor(
            feature_size=1,
            sampling_rate=subject.views.sample_rate,
            padding_value=0.0,
            do_normalize=True,
            return_attention_mask=False,
        )
        extractor.save_pretrained(folder)
        return
    tokenizer, special = load(subject.views.tokenizer)
    named = {f"{role}_token": tokenizer.id_to_token(place) for role, place in special.items()}
    # What a text says is no instruction, and models without segments would add token 0 for them.
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=subject.views.max_tokens,
        model_input_names=INPUTS,
        padding_side="right",
        truncation_side="right",
        split_special_tokens=True,
        **named,
    )
    made.save_pretrained(folder)


def write_sentence_transformers_folder(subject: Subject, folder: Path) -> None:
    """Write a table of embeddings, or a folder of transformers and what pools its features; and what projects them."""
    static = isinstance(body_of(subject), StaticBody)
    modules = [("", "StaticEmbedding")] if static else [("", "Transformer"), ("1_Pooling", "Pooling")]
    if static:
        write_tensors(folder / MODEL, {"embedding.weight": body_of(subject).tokens.weight})
        write_plain_tokenizer(subject, folder / TOKENIZER)
    else:
        write_transformers_folder(subject, folder)
        _write_pooling(subject, folder)
    if subject.projection is not None:
        place = f"{len(modules)}_Dense"
        modules.append((place, "Dense"))
        (folder / place).mkdir()
        dense = {
            "in_features": subject.projection.in_features,
            "out_features": subject.projection.out_features,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        write_object(folder / place / "config.json", dense)
        write_tensors(folder / place / MODEL, {"linear.weight": subject.projection.weight})
    write_object(
        folder / "modules.json",
        [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (path, kind) in enumerate(modules)
        ],
    )
    write_object(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})


def _write_pooling(subject: Subject, folder: Path) -> None:
    network: Any = subject.network
    write_object(
        folder / "sentence_bert_config.json", {"max_seq_length": subject.views.max_tokens, "do_lower_case": False}
    )
    (folder / "1_Pooling").mkdir()
    pooling = {f"pooling_mode_{theirs}": network.pooling == own for own, theirs in POOLINGS.items()}
    write_object(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": network.dim} | pooling)


def static_reader(subject: Subject, folder: Path) -> Callable[[Tensor], Tensor]:
    """The mean of the rows of a written table, as sentence-transformers takes it."""
    table, network = load_file(folder / MODEL)["embedding.weight"], subject.network
    assert isinstance(network, TextEncoder)

    def embed(view: Tensor) -> Tensor:
        counted = network.places_mask(view)
        lengths = counted.sum(1)
        means = F.embedding_bag(view[counted], table, lengths.cumsum(0) - lengths)
        with torch.no_grad():
            return means if subject.projection is None else subject.projection(means)

    return embed


def transformers_reader(subject: Subject, folder: Path) -> Callable[[Tensor], Tensor]:
    """The model that transformers makes of a folder, with the encoder's pooling behind it."""
    transformers = needs("transformers", EXTRAS[subject.modality])
    log = transformers.utils.logging
    verbosity, shows = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        model = transformers.AutoModel.from_pretrained(
            os.fspath(folder), local_files_only=True, **loading_arguments(subject)
        ).eval()
    finally:
        log.set_verbosity(verbosity)
        if shows:
            log.enable_progress_bar()
    network: Any = subject.network

    def embed(view: Tensor) -> Tensor:
        with torch.no_grad():
            if not isinstance(network, TextEncoder):
                rows = (view - view.mean(1, keepdim=True)) / (view.var(1, correction=0, keepdim=True) + 1e-7).sqrt()
                return model(rows).last_hidden_state.mean(1)
            states = model(input_ids=view, attention_mask=network.places_mask(view).long()).last_hidden_state
            pooled = network.pool(states, view)
            return pooled if subject.projection is None else subject.projection(pooled)

    return embed


def loading_arguments(subject: Subject) -> dict[str, bool]:
    """What `from_pretrained` needs to know: without it a layer with random weights is added, and warned of."""
    takes = "add_pooling_layer" in inspect.signature(type(body_of(subject)).__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def body_of(subject: Subject) -> Any:
    """The model of transformers in an encoder."""
    network: Any = subject.network
    body: nn.Module = network.body
    return body
