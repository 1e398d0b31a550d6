from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from likewise.encoders.folder import WeightsSize, check_architecture
from likewise.encoders.text import (
    SIZES,
    STATIC_DEVIATION,
    TextEncoder,
    bert,
    causal_encoder,
    gpt,
    language_encoder,
    text_encoder,
)
from likewise.errors import UserError
from likewise.evaluation.reinitialize import reinitialize

PAD, CLS, SEP = 0, 2, 3
HIDDEN = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
USUAL: dict[str, Any] = {"vocab_size": 50, "max_tokens": 12, "pad": PAD}


def texts(*lengths: int, width: int | None = None) -> Tensor:
    """`[CLS] max_tokens [SEP]` of so many tokens each, then padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.zeros(len(lengths), width or max(lengths) + 2, dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[0], row[length + 1] = CLS, SEP
        row[1 : length + 1] = torch.randint(5, 50, (length,), generator=generator)
    return ids


def small(family: str, pooling: str | None = None) -> TextEncoder:
    torch.manual_seed(0)
    body = {"bert": bert, "gpt": gpt}[family](2, 32, vocab_size=50, max_tokens=12, pad=PAD, heads=2)
    for parameter in body.parameters():
        if parameter.ndim == 2:
            parameter.data *= 5
    causal = family == "gpt"
    return TextEncoder(body, causal=causal, max_tokens=12, pad=PAD, pooling=pooling, config={}).double().eval()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_the_sizes_are_the_papers(family: str, size: str) -> None:
    with torch.device("meta"):
        encoder = text_encoder(f"{family}-{size}", **USUAL)
    layers, width = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768)}[size]
    config = encoder.body.config
    assert encoder.dim == encoder.features_dim == encoder.embedding.embedding_dim == width
    assert (config.num_hidden_layers, width // config.num_attention_heads) == (layers, 64)
    assert encoder.embedding.num_embeddings == 50
    assert encoder.causal == (family == "gpt")
    # Of each layer 12 width² weights: 4 of the attention, 8 of what follows it.
    assert sum(p.numel() for p in encoder.parameters() if p.ndim == 2) == layers * 12 * width**2 + (
        (50 + 12 + (family == "bert")) * width
    )


@pytest.mark.parametrize("name", ["bert-tiny", "gpt-tiny"])
def test_the_seed_decides_the_weights_and_the_config_builds_it_again(name: str) -> None:
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(text_encoder(name, **USUAL, pooling="last").eval())
    one, again, other = (encoder(texts(4, 9)) for encoder in built)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    rebuilt = text_encoder(**json.loads(json.dumps(built[0].config))).eval()
    rebuilt.load_state_dict(built[0].state_dict())
    assert torch.equal(rebuilt(texts(4, 9)), one)


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_attention_is_torchs_own(family: str) -> None:
    assert small(family).body.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("family", "pooling"), [("bert", "mean"), ("bert", "cls"), ("bert", "last"), ("gpt", "mean"), ("gpt", "last")]
)
def test_padding_changes_nothing(family: str, pooling: str) -> None:
    encoder, lengths = small(family, pooling), (1, 4, 8)
    together = encoder(texts(*lengths, width=12))
    for row, ids, length in zip(together, texts(*lengths), lengths, strict=True):
        torch.testing.assert_close(encoder(ids[None, : length + 2])[0], row, rtol=1e-10, atol=1e-12)
    states = encoder.features(texts(*lengths, width=12))
    torch.testing.assert_close(states[1, :6], encoder.features(texts(*lengths)[1:2, :6])[0], rtol=1e-10, atol=1e-12)


def test_columns_that_are_padding_everywhere_are_not_read() -> None:
    encoder, widths = small("bert"), []
    hook = encoder.body.register_forward_pre_hook(
        lambda _, __, given: widths.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    encoder(texts(1, 4, width=12))
    encoder(torch.zeros(2, 5, dtype=torch.long))
    hook.remove()
    assert widths == [6, 1]


def test_poolings_take_what_they_say() -> None:
    ids = texts(1, 4, 8)
    for pooling, expected in {
        "mean": lambda states, length: states[: length + 2].mean(0),
        "cls": lambda states, length: states[0],
        "last": lambda states, length: states[length + 1],
    }.items():
        encoder = small("bert", pooling)
        for row, states, length in zip(encoder(ids), encoder.features(ids), (1, 4, 8), strict=True):
            torch.testing.assert_close(row, expected(states, length), rtol=1e-12, atol=1e-12)
    assert small("bert").pooling == small("gpt").pooling == "mean"


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_a_later_token_changes_earlier_states_only_where_both_sides_are_seen(family: str) -> None:
    encoder, ids = small(family), texts(9)
    before = encoder.features(ids)
    for place in range(1, 10):
        other = ids.clone()
        other[0, place] = 5 + (other[0, place] - 4) % 45
        changed = (encoder.features(other) - before).abs().amax(2)[0] > 1e-9
        assert changed[place:].all()
        assert changed[:place].all() == (family == "bert")
        assert changed[:place].any() == (family == "bert")


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_every_weight_gets_a_gradient(family: str) -> None:
    encoder = small(family)
    encoder(texts(3, 10)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("kind", "causal"), [("bert", False), ("gpt2", True), ("distilbert", False), ("roberta", False), ("llama", True)]
)
def test_a_local_folder_is_read_and_later_built_without_it(kind: str, causal: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        **dict.fromkeys(("bert", "llama", "roberta"), HIDDEN),
        "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 2},
        "distilbert": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64},
    }[kind]
    original = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, vocab_size=60, **sizes))
    folder = tmp_path / "pretrained"
    original.half().save_pretrained(folder)
    encoder = text_encoder(f"hf:{folder}", **USUAL).eval()
    assert (encoder.dim, encoder.causal, encoder.embedding.num_embeddings) == (32, causal, 60)
    assert all(p.dtype == torch.float32 for p in encoder.parameters())
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    ids = texts(4, 9)
    expected = original.float().eval()(input_ids=ids, attention_mask=(ids != PAD).long()).last_hidden_state
    torch.testing.assert_close(encoder.features(ids)[0, :6], expected[0, :6], rtol=1e-4, atol=1e-5)
    config = json.loads(json.dumps(encoder.config))
    for file in folder.iterdir():
        file.unlink()
    rebuilt = text_encoder(**config).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    assert torch.equal(rebuilt(ids), encoder(ids))
    assert (rebuilt.causal, rebuilt.config) == (causal, encoder.config)


class Trap:
    """What opens it calls it."""

    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def test_folders_that_are_none_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(folder: Path, **changes: Any) -> str:
        with pytest.raises(UserError) as error:
            text_encoder(f"hf:{folder}", **USUAL | changes)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(f"encoder 'hf:{folder}'").strip(": ")

    folder = tmp_path / "model"
    assert refused(folder) == "there is no such folder"
    folder.mkdir()
    assert refused(folder) == "the folder has no config.json, which save_pretrained writes"
    config = transformers.BertConfig(vocab_size=60, max_position_embeddings=20, **HIDDEN)
    config.save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    assert "no .safetensors, and pickled weights are not opened" in refused(folder)
    assert "unpickled" not in capsys.readouterr().out
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert "can't be read" in refused(folder)
    transformers.BertModel(config).save_pretrained(folder)
    assert "knows 60 tokens, the tokenizer has 70: give the one" in refused(folder, vocab_size=70)
    assert "can't read 21 tokens: use --max-tokens 20 or fewer" in refused(folder, max_tokens=21)
    config.num_hidden_layers = 2
    config.save_pretrained(folder)
    assert "lacks weights: encoder.layer.1" in refused(folder)
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')
    assert "can't be read" in refused(folder)
    shifted = tmp_path / "shifted"
    roberta = transformers.RobertaConfig(vocab_size=60, max_position_embeddings=20, **HIDDEN)
    transformers.RobertaModel(roberta).save_pretrained(shifted)
    assert text_encoder(f"hf:{shifted}", **USUAL | {"max_tokens": 18}).max_tokens == 18
    assert "can't read 19 tokens: use --max-tokens 18 or fewer" in refused(shifted, max_tokens=19)
    t5 = transformers.T5Config(vocab_size=60, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    both = tmp_path / "both"
    transformers.T5Model(t5).save_pretrained(both)
    assert "is an encoder and a decoder (t5): take one of the two" in refused(both)


def test_unknown_names_are_answered_with_known_ones() -> None:
    with pytest.raises(
        UserError,
        match=r"'bert-tinny', did you mean 'bert-tiny'.*gpt-base, static-256, static-512, static-1024 and hf:FOLDER",
    ):
        text_encoder("bert-tinny", **USUAL)
    with pytest.raises(UserError, match="pooling must be one of mean, cls, last, got 'men', did you mean 'mean'"):
        text_encoder("bert-tiny", **USUAL, pooling="men")
    with pytest.raises(UserError, match="pooling must be mean or last in a causal encoder, got 'cls'"):
        text_encoder("gpt-tiny", **USUAL, pooling="cls")


def test_methods_are_told_what_an_encoder_is_not() -> None:
    assert language_encoder(small("bert")).dim == 32
    assert causal_encoder(small("gpt")).causal
    with pytest.raises(UserError, match=r"encoder must be a text encoder, got Linear: try --encoder bert-tiny"):
        language_encoder(nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"encoder must be causal, got bert-tiny: try --encoder gpt-tiny"):
        causal_encoder(text_encoder("bert-tiny", **USUAL))


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs transformers, .*pip install 'likewise\[text\]'"):
        text_encoder("bert-tiny", **USUAL)


@pytest.mark.parametrize("kind", ["timm_wrapper", "custom", None, 3])
def test_models_that_could_bring_code_are_refused(kind: object, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    (tmp_path / "custom.py").write_text(f"open({str(planted)!r}, 'w')")
    config = {"model_type": kind, "auto_map": {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="its model type must be one of albert, bart, bert"):
        text_encoder(f"hf:{tmp_path}", **USUAL)
    with pytest.raises(UserError, match="its model type must be one of albert, bart, bert"):
        text_encoder(f"hf:{tmp_path}", **USUAL, architecture=config)
    assert not planted.exists()


def test_code_beside_a_known_model_is_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    (tmp_path / "custom.py").write_text(f"open({str(planted)!r}, 'w')")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    config = {"model_type": "bert", "vocab_size": 50, **small, "auto_map": {"AutoModel": f"{tmp_path}--custom.Model"}}
    assert text_encoder(f"hf:{tmp_path}", **USUAL, architecture=config).dim == 16
    assert not planted.exists()
    for nonsense in ({"model_type": "bert", "hidden_size": "wide"}, {"model_type": "bert", "num_attention_heads": 0}):
        with pytest.raises(UserError, match="the run's encoder can't be built"):
            text_encoder(f"hf:{tmp_path}", **USUAL, architecture=nonsense)


def save_bert(folder: Path) -> dict[str, Any]:
    """A folder with a small BERT, and its configuration."""
    small("bert").body.save_pretrained(folder)
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("max_position_embeddings", 10**9, r"would have 34,\d{3},\d{3},\d{3} numbers, and its weights are \d"),
        ("intermediate_size", 10**9, "its configuration is not that of the weights"),
        ("vocab_size", 10**12, "its configuration is not that of the weights"),
        ("type_vocab_size", 10**9, "its configuration is not that of the weights"),
        ("num_labels", 10**9, "num_labels must be at most 100,000, got 1000000000"),
        ("hidden_size", 10**30, "can't be built"),
        ("num_hidden_layers", 10**9, r"num_hidden_layers must be at most the \d+ tensors there are, got 1000000000"),
    ],
)
def test_an_architecture_is_no_larger_than_its_weights(name: str, value: int, told: str, tmp_path: Path) -> None:
    """Nothing of that size is allocated: the sizes are compared before."""
    config = save_bert(tmp_path) | {name: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=told):
        text_encoder(f"hf:{tmp_path}", **USUAL)
    size = WeightsSize(40, 30_000)
    with pytest.raises(UserError, match=told.replace(r"\d+ t", "40 t")):
        check_architecture(config, size, "encoder.architecture")


def test_an_architecture_that_fits_its_weights_is_read(tmp_path: Path) -> None:
    config = save_bert(tmp_path)
    known = {**USUAL, "vocab_size": config["vocab_size"], "max_tokens": 12}
    assert text_encoder(f"hf:{tmp_path}", **known).dim == 32


def static(**changes: Any) -> TextEncoder:
    torch.manual_seed(0)
    return text_encoder("static-256", **(USUAL | {"marks": [CLS, SEP]} | changes)).double().eval()


def test_a_static_encoder_is_the_mean_of_the_embeddings_of_its_tokens() -> None:
    encoder, ids = static(), texts(4, 9, 1)
    table = encoder.embedding.weight
    for row, embedding in zip(ids, encoder(ids), strict=True):
        tokens = [token for token in row.tolist() if token not in (PAD, CLS, SEP)]
        torch.testing.assert_close(embedding, table[tokens].mean(0), rtol=1e-12, atol=1e-14)
    assert torch.equal(encoder.features(ids), table[ids])
    assert encoder.dim == encoder.features_dim == 256
    assert sum(p.numel() for p in encoder.parameters()) == 50 * 256
    embedding, features = encoder.with_features(ids)
    assert torch.equal(embedding, encoder(ids))
    assert torch.equal(encoder.places_mask(ids), (ids != PAD) & (ids != CLS) & (ids != SEP))
    assert features.shape == (3, 11, 256)


def test_a_static_encoder_knows_no_order_and_no_padding_and_an_empty_text_is_zero() -> None:
    encoder, ids = static(), texts(5)
    mixed = ids[:, [0, 3, 1, 5, 2, 4, 6]]
    torch.testing.assert_close(encoder(mixed), encoder(ids), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(encoder(texts(5, width=12)), encoder(ids), rtol=1e-12, atol=1e-14)
    assert not encoder(torch.tensor([[CLS, SEP]])).any()


def test_a_static_encoder_is_built_again_from_its_config() -> None:
    first, ids = static(), texts(4, 9)
    again = text_encoder(**json.loads(json.dumps(first.config))).double().eval()
    again.load_state_dict(first.state_dict())
    assert torch.equal(again(ids), first(ids))


def test_a_static_encoder_that_is_drawn_anew_is_as_one_that_is_built() -> None:
    first = static(vocab_size=2000)
    drawn = reinitialize(first)
    assert not torch.equal(drawn.embedding.weight, first.embedding.weight)
    for encoder in (first, drawn):
        assert encoder.embedding.weight.std().item() == pytest.approx(STATIC_DEVIATION, rel=0.01)


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_a_static_encoder_has_the_mean_only(pooling: str) -> None:
    with pytest.raises(
        UserError, match=rf"pooling must be mean in static-256, whose tokens see no others, got {pooling}"
    ):
        static(pooling=pooling)
    assert static(pooling="mean").pooling == "mean"
