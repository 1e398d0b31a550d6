"""Recordings of different lengths, whole: frames, batches, and what a training on transcripts learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import likewise.tasks.ctc
from likewise.data.open import open_source
from likewise.data.source import Subset
from likewise.encoders.audio import audio_encoder
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings
from likewise.evaluation.labelled_samples import draw_samples, sample_counts
from likewise.evaluation.recognition import evaluate_recognition, recognition_notes
from likewise.evaluation.recognizer import (
    BATCH_RECORDINGS,
    BATCH_SECONDS,
    FrameEncoder,
    LogMelFrames,
    Transcribed,
    batches,
    encode_frames,
)
from small_data import SAMPLE_RATE, tones

CPU = ComputeSettings(torch.device("cpu"))


def transcribed(count: int, test: int) -> tuple[Transcribed, Transcribed]:
    waves, texts = tones(count + test)
    source = open_source(waves, sample_rate=SAMPLE_RATE, progress=False)
    parts = torch.arange(count), torch.arange(count, count + test)
    train, held_out = (Transcribed(Subset(source, part), [texts[i] for i in part.tolist()]) for part in parts)
    return train, held_out


@pytest.mark.parametrize("name", ["wav2vec2-tiny", "mel-resnet8", "conv-gru-tiny", "log-mel"])
def test_the_frames_of_a_recording_do_not_depend_on_the_others(name: str) -> None:
    waves, _ = tones(4)
    waves = [*waves, waves[0][::-1].copy(), waves[1][:20]]  # of equal length, and shorter than a frame
    source = open_source(waves, sample_rate=SAMPLE_RATE, progress=False)
    torch.manual_seed(0)
    encoder = (
        LogMelFrames(SAMPLE_RATE)
        if name == "log-mel"
        else FrameEncoder(audio_encoder(name, sample_rate=SAMPLE_RATE, seconds=0.4))
    ).eval()
    together = encode_frames(encoder, source.read(torch.arange(6)), SAMPLE_RATE, CPU)
    for i in range(6):
        [alone] = encode_frames(encoder, source.read(torch.tensor([i])), SAMPLE_RATE, CPU)
        assert alone.shape == together[i].shape
        assert torch.allclose(alone, together[i], atol=1e-4)
    assert len({len(frames) for frames in together}) > 2  # whole, not of one length


def test_batches_have_every_recording_once_an_epoch_and_are_bounded() -> None:
    seconds = torch.tensor([29.0, 25.0, 28.0, *[1.0] * 20], dtype=torch.float64)
    order = batches(seconds, torch.Generator().manual_seed(0))
    seen: list[int] = []
    while len(seen) < len(seconds):
        batch = next(order)
        assert len(batch) <= BATCH_RECORDINGS
        assert float(seconds[batch].sum()) <= BATCH_SECONDS
        seen += batch.tolist()
    assert sorted(seen) == list(range(len(seconds)))
    even = torch.arange(64, dtype=torch.float64) / 10
    order = batches(even, torch.Generator().manual_seed(0))
    epoch = [next(order) for _ in range(8)]
    assert all(float(even[batch].max() - even[batch].min()) < 0.75 for batch in epoch)  # about equally long
    assert [int(batch.min()) for batch in epoch] != sorted(int(batch.min()) for batch in epoch)


def test_draws_are_nested_and_a_function_of_the_seed() -> None:
    draws = [draw_samples(50, count, 1).tolist() for count in (5, 20, "all")]
    assert draws[1][:5] == draws[0]
    assert draws[2][:20] == draws[1]
    assert sorted(draws[2]) == list(range(50))
    assert draw_samples(50, 5, 2).tolist() != draws[0]


def test_the_numbers_of_recordings_are_checked() -> None:
    what = {"usual": (10, 100), "samples": "recordings"}
    assert sample_counts(None, 500, "x", **what) == [10, 100, "all"]
    assert sample_counts(None, 8, "x", **what) == ["all"]
    assert sample_counts([5, "all", 5], 8, "x", **what) == [5, "all"]
    with pytest.raises(UserError, match="labelled must be at most 8, or 'all', got 9: x has 8 recordings"):
        sample_counts([9], 8, "x", **what)
    with pytest.raises(UserError, match="labelled must be whole numbers of at least 1, or 'all', got 0"):
        sample_counts([0], 8, "x", **what)


def test_what_tones_spell_is_learned() -> None:
    """A head on log-mel frames; with a broken loss, errors stay as many as the commonest transcript makes."""
    train, test = transcribed(40, 20)
    result = evaluate_recognition(
        audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4),
        train,
        test,
        sample_rate=SAMPLE_RATE,
        labelled=["all"],
        seeds=1,
        protocols=["raw-ctc"],
        steps=60,
    )
    assert result["baseline"]["cer"] > 0.6
    [cer, wer] = [row["mean"] for row in result["summary"]]
    assert cer < 0.25
    assert cer < wer < 0.9
    assert result["characters"] == " abcd"
    assert result["examples"]["recordings"][0]["reference"] == test.texts[0]


def test_a_broken_loss_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the test above can fail."""

    def to_one_frame(log_probabilities, lengths, targets):  # type: ignore[no-untyped-def]
        return F.nll_loss(log_probabilities[:, 0], torch.stack([target[0] for target in targets]))

    monkeypatch.setattr("likewise.evaluation.recognizer.ctc_loss", to_one_frame)
    assert likewise.tasks.ctc.ctc_loss is not to_one_frame
    train, test = transcribed(20, 10)
    encoder = audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4)
    words = {"labelled": ["all"], "seeds": 1, "protocols": ["raw-ctc"], "steps": 20}
    result = evaluate_recognition(encoder, train, test, sample_rate=SAMPLE_RATE, **words)
    assert result["summary"][0]["mean"] > 0.6


@pytest.mark.slow
def test_an_encoder_that_is_trained_learns_too() -> None:
    train, test = transcribed(60, 20)
    torch.manual_seed(0)

    def build() -> torch.nn.Module:
        return audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4)

    result = evaluate_recognition(
        build(), train, test, sample_rate=SAMPLE_RATE, labelled=["all"], seeds=1,
        protocols=["frozen", "scratch", "fine-tuned"], steps=150, make_encoder=build,
    )  # fmt: skip
    cer = {row["protocol"]: row["mean"] for row in result["summary"] if row["measure"] == "cer"}
    assert cer["fine-tuned"] < cer["frozen"] < 0.5
    assert cer["scratch"] < 0.8 * result["baseline"]["cer"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result() -> None:
    train, test = transcribed(12, 6)
    torch.manual_seed(0)
    encoder = audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4)
    results = []
    for state in (1, 2):
        torch.manual_seed(state)  # what others have drawn does not matter
        result = evaluate_recognition(
            encoder, train, test, sample_rate=SAMPLE_RATE, labelled=[6], seeds=2, steps=4,
            protocols=["scratch", "fine-tuned", "untrained"],
            make_encoder=lambda: audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4),
        )  # fmt: skip
        results.append([{key: value for key, value in t.items() if key != "seconds"} for t in result["trials"]])
    assert results[0] == results[1]


def test_encoders_whose_frames_are_too_long_leave_recordings_out() -> None:
    waves, texts = tones(10)
    source = open_source(waves, sample_rate=SAMPLE_RATE, progress=False)
    spoken = Transcribed(source, texts)
    encoder = audio_encoder("mel-resnet8", sample_rate=SAMPLE_RATE, seconds=0.4)
    words = {"labelled": ["all"], "seeds": 1, "protocols": ["frozen"], "steps": 1}
    result = evaluate_recognition(encoder, spoken, spoken, sample_rate=SAMPLE_RATE, **words)
    assert 0 < len(result["left_out"]) < 10
    assert result["recordings"] == {"train": 10 - len(result["left_out"]), "test": 10}
    assert result["left_out"][0][1].startswith("too short for its transcript: ")
    name, reason = result["left_out"][0]
    assert recognition_notes(result)[0].endswith(
        f"of 10 recordings left out of the training, the first {name}: {reason}."
    )
    half = {"left_out": [["a.wav", "short"]], "recordings": {"train": 1}, "unknown_characters": "xz"}
    assert recognition_notes(half) == [
        "1 of 2 recordings left out of the training, the first a.wav: short.",
        "The frames of this encoder are too long for speech: an encoder with shorter ones, such as wav2vec2-tiny, "
        "learns from more of the recordings.",
        "Characters of the test transcripts that are in none to learn from: x z.",
    ]
    long = Transcribed(source, ["abcdabcdabcd" * 4] * 10)
    with pytest.raises(UserError, match=r"encoder must have a frame for each character, got one every \d+ ms, too few"):
        evaluate_recognition(encoder, long, long, sample_rate=SAMPLE_RATE, **words)
    with pytest.raises(UserError, match="must have characters in common, got none: 'ab' and 'xy'"):
        evaluate_recognition(
            encoder, Transcribed(source, ["ab"] * 10), Transcribed(source, ["xy"] * 10), sample_rate=SAMPLE_RATE
        )


def test_known_weights_are_a_protocol_of_their_own() -> None:
    train, test = transcribed(6, 3)
    torch.manual_seed(0)
    encoder, given = (audio_encoder("wav2vec2-tiny", sample_rate=SAMPLE_RATE, seconds=0.4) for _ in range(2))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    words = {"sample_rate": SAMPLE_RATE, "labelled": ["all"], "seeds": 1, "steps": 2}
    result = evaluate_recognition(
        encoder, train, test, given=given, protocols=["frozen", "as-given", "fine-tuned"], **words
    )
    assert {(row["protocol"], row["versus"]) for row in result["differences"]} == {
        ("frozen", "as-given"),
        ("fine-tuned", "as-given"),
    }
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    with pytest.raises(UserError, match="as-given needs a run that went on from known weights"):
        evaluate_recognition(encoder, train, test, protocols=["as-given"], **words)


def test_an_encoder_without_frames_is_refused() -> None:
    train, test = transcribed(4, 2)
    with pytest.raises(UserError, match=r"encoder must have features of frames in time .*, got Linear, which has none"):
        evaluate_recognition(torch.nn.Linear(4, 2), train, test, sample_rate=SAMPLE_RATE)
