from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from likewise.encoders.text import TextEncoder
from likewise.modules.text_decoder import WITH_CROSS_ATTENTION, TextDecoder

VOCABULARY, TOKENS, WIDTH, PAD = 30, 12, 16, 0
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": WIDTH, "embedding_size": WIDTH, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 2 * TOKENS, "pad_token_id": PAD,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "attn_pdrop": 0.0, "embd_pdrop": 0.0,
    "resid_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None, "dim": WIDTH, "hidden_dim": 24, "dropout": 0.0,
    "attention_dropout": 0.0,
}  # fmt: skip


def encoder(kind: str) -> TextEncoder:
    torch.manual_seed(0)
    body = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **SMALL))
    causal = kind == "gpt2"
    return TextEncoder(body, causal=causal, max_tokens=TOKENS, pad=PAD, pooling=None, config={"name": kind}).double()


def texts() -> Tensor:
    return torch.randint(1, VOCABULARY, (3, TOKENS - 1), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [*WITH_CROSS_ATTENTION, "distilbert", "mpnet", "albert"])
def test_a_state_depends_on_the_tokens_up_to_it_and_on_the_texts_embedding(kind: str) -> None:
    torch.manual_seed(1)
    decoder = TextDecoder(encoder(kind)).double().eval()
    ids, embeddings = texts(), torch.randn(3, WIDTH, dtype=torch.float64)
    states = decoder(ids, embeddings)
    assert states.shape == (3, TOKENS - 1, WIDTH)
    later = ids.clone()
    later[:, 5] = later[:, 5] % (VOCABULARY - 1) + 1
    changed = decoder(later, embeddings)
    torch.testing.assert_close(changed[:, :5], states[:, :5], rtol=0, atol=1e-12)
    assert ((changed - states)[:, 5:].abs().amax(2) > 1e-9).all()
    other = decoder(ids, embeddings + torch.eye(3, 1, dtype=torch.float64))  # of the first text only
    assert ((other - states)[0].abs().amax(1) > 1e-9).all()
    torch.testing.assert_close(other[1:], states[1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", WITH_CROSS_ATTENTION)
def test_all_but_the_attention_to_the_embedding_is_the_encoders(kind: str) -> None:
    language = encoder(kind)
    mine = {id(parameter) for parameter in language.parameters()}
    own = [name for name, p in TextDecoder(language).named_parameters() if id(p) not in mine]
    assert own
    assert all("cross" in name for name in own)  # crossattention, ln_cross_attn


@pytest.mark.parametrize("kind", ["distilbert", "mpnet"])
def test_other_encoders_share_their_token_embedding(kind: str) -> None:
    language = encoder(kind)
    decoder = TextDecoder(language)
    assert decoder.body.get_input_embeddings() is language.embedding
    assert decoder.body.config.num_hidden_layers == 2


def test_the_encoder_stays_as_it_is() -> None:
    language = encoder("bert")
    before = language(texts())
    decoder = TextDecoder(language).double()
    decoder(texts(), before).sum().backward()
    assert torch.equal(language(texts()), before)
    assert not language.body.config.is_decoder
    assert language.embedding.weight.grad is not None
