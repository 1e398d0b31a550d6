"""Models of recordings of transformers, from folders that transformers itself has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from likewise.encoders.audio import Wav2Vec2, audio_encoder
from likewise.encoders.folder import KINDS, WeightsSize, check_architecture
from likewise.encoders.folder_audio import sound_preprocessing
from likewise.encoders.low_rank import add_low_rank, merge_low_rank
from likewise.errors import UserError
from likewise.training.optimizers import encoder_stages

RATE = 2000
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 24),
    "conv_kernel": (10, 4),
    "conv_stride": (5, 4),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "num_feat_extract_layers": 2,
}
VARIANTS = [(kind, changes) for kind in KINDS["audio"] for changes in ({}, {"do_stable_layer_norm": True})]
VARIANTS += [("hubert", {"feat_proj_layer_norm": False}), ("wav2vec2", {"feat_extract_norm": "layer"})]


def saved(kind: str, folder: Path, *, normalized: bool | None = True, **changes: Any) -> Any:
    """A small model of transformers for recordings of 2 kHz, and its folder."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES | changes)
    model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    if normalized is not None:
        extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=normalized)
        extractor.save_pretrained(folder)
    return model.eval()


def encoder_of(folder: Path, sample_rate: int = RATE) -> Wav2Vec2:
    encoder = audio_encoder(f"hf:{folder}", sample_rate=sample_rate, seconds=0.5)
    assert isinstance(encoder, Wav2Vec2)
    return encoder.eval()


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(("kind", "changes"), VARIANTS)
@torch.no_grad()
def test_outputs_are_those_of_transformers(
    kind: str, changes: dict[str, Any], normalized: bool, tmp_path: Path
) -> None:
    """For waves that its own feature extractor has prepared."""
    model = saved(kind, tmp_path, normalized=normalized, **changes)
    waves = 0.3 * torch.randn(3, RATE // 2) + 0.1
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    prepared = extractor([*waves.numpy()], sampling_rate=RATE, return_tensors="pt").input_values
    expected = model(prepared).last_hidden_state
    encoder = encoder_of(tmp_path)
    torch.testing.assert_close(encoder.features(waves), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder(waves), expected.mean(1), rtol=1e-4, atol=1e-5)
    assert expected.shape == (3, *encoder.grid(), encoder.dim)
    assert encoder(waves[:, :300]).shape == (3, 32)  # others can be encoded too
    # The inputs of the Transformer are a linear map of the latents, as methods need it.
    inputs, latents = encoder.inputs_and_latents(waves)
    assert torch.equal(encoder.body.feature_projection.projection(latents), inputs)
    assert latents.shape[2] == encoder.latent_dim


@pytest.mark.parametrize("kind", KINDS["audio"])
def test_it_is_built_again_without_the_folder(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path, normalized=False)
    encoder, waves = encoder_of(tmp_path), torch.randn(2, 1000)
    config = json.loads(json.dumps(encoder.config))
    for file in tmp_path.iterdir():
        file.unlink()
    again = audio_encoder(**config).eval()
    assert not torch.equal(again(waves), encoder(waves))
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(waves), encoder(waves))
    assert again.config == encoder.config
    assert again.config["standardized"] is False


@pytest.mark.parametrize("kind", KINDS["audio"])
def test_its_weights_learn(kind: str, tmp_path: Path) -> None:
    """All get a gradient, in stages of layers; none is dropped and no frame masked in training."""
    saved(
        kind, tmp_path, layerdrop=0.9, mask_time_prob=0.9, **dict.fromkeys(("hidden_dropout", "attention_dropout"), 0.0)
    )
    encoder, waves = encoder_of(tmp_path), torch.randn(2, 1000)
    for part in encoder.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    assert torch.equal(encoder.train()(waves), encoder(waves))
    encoder.features(waves).square().mean(1)[:, ::2].sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []
    stages = encoder_stages(encoder)
    assert len(stages) == 2 + 1 + 1 + 1 + 2  # convolutions, projection, positions, norm, blocks
    assert sorted(id(p) for stage in stages for p in stage) == sorted(id(p) for p in encoder.parameters())


@pytest.mark.parametrize("kind", KINDS["audio"])
def test_low_rank_is_learned_beside_its_weights(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    encoder, waves = encoder_of(tmp_path), torch.randn(2, 1000)
    before, names = encoder(waves), set(encoder.state_dict())
    assert add_low_rank(encoder, 2) > 8
    torch.testing.assert_close(encoder(waves), before)
    encoder(waves)[:, ::2].square().sum().backward()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    changed = encoder(waves)
    assert not torch.allclose(changed, before, atol=1e-4)
    torch.testing.assert_close(merge_low_rank(encoder)(waves), changed, rtol=1e-4, atol=1e-5)
    assert set(encoder.state_dict()) == names


def test_a_recognizer_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**SIZES, vocab_size=5000, add_adapter=False)
    recognizer = transformers.Wav2Vec2ForCTC(config).eval()
    recognizer.save_pretrained(tmp_path)
    assert sound_preprocessing(f"hf:{tmp_path}") == (16_000, True)
    encoder, waves = encoder_of(tmp_path, 16_000), torch.randn(1, 2000)
    prepared = (waves - waves.mean()) / waves.std(correction=0)
    torch.testing.assert_close(
        recognizer.lm_head(encoder.features(waves)), recognizer(prepared).logits, rtol=1e-4, atol=1e-4
    )


def test_folders_that_are_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path | str, **changes: Any) -> str:
        with pytest.raises(UserError) as error:
            audio_encoder(f"hf:{folder}", **{"sample_rate": RATE, "seconds": 0.5} | changes)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(f"encoder 'hf:{folder}'").strip(": ")

    monkeypatch.chdir(tmp_path)
    assert "https://huggingface.co/facebook/wav2vec2-base" in refused("facebook/wav2vec2-base")
    saved("wavlm", Path("wavlm"))
    assert refused("wavlm", sample_rate=8000) == "sample_rate must be 2000, as hf:wavlm has learned from, got 8000"
    config = json.loads(Path("wavlm/config.json").read_text())

    def rewritten(**changes: Any) -> str:
        Path("wavlm/config.json").write_text(json.dumps(config | changes))
        return refused("wavlm")

    assert rewritten(model_type="vit") == "must be a model of recordings, got 'vit', which is one of images"
    assert "its model type must be one of hubert, wav2vec2, wavlm, got 'whisper'" in rewritten(model_type="whisper")
    assert "num_hidden_layers must be at most" in rewritten(num_hidden_layers=10**9)
    assert "would have" in rewritten(hidden_size=10**8, num_attention_heads=1)
    assert "conv_kernel and conv_stride must be whole numbers above 0" in rewritten(conv_stride=[5, 0])
    assert "seconds must be long enough for a frame of hf:wavlm, got 0.5" in rewritten(conv_stride=[900, 900])
    Path("wavlm/preprocessor_config.json").write_text('{"sampling_rate": 1}')
    assert "sampling_rate of its preprocessor_config.json must be from 1,000 to 192,000 Hz, got 1" in rewritten()


def test_lists_of_layers_are_counted_before_they_are_built() -> None:
    config = {"model_type": "wav2vec2", **SIZES, "conv_dim": [1] * 50}
    with pytest.raises(UserError, match="conv_dim must be at most as long as the 40 tensors there are"):
        check_architecture(config, WeightsSize(40, 30_000), "encoder.architecture")
