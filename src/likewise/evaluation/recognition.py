"""The error rates of speech recognition with few transcripts, beside everything they should be compared with."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.checks import check_int
from likewise.data.audio import num_samples
from likewise.data.source import Subset
from likewise.errors import UserError
from likewise.evaluation.error_rates import character_error_rate, word_error_rate
from likewise.evaluation.features import MIN_SCALE, evenly_spaced
from likewise.evaluation.inputs import ComputeSettings, LabelCount, Progress
from likewise.evaluation.labelled_samples import (
    chosen_protocols,
    differences_by_measure,
    draw_samples,
    sample_counts,
    summary_by_measure,
)
from likewise.evaluation.measures import CONFIDENCE
from likewise.evaluation.protocols import PROTOCOLS, LineStyle
from likewise.evaluation.recognizer import (
    BATCH_RECORDINGS,
    BATCH_SECONDS,
    SHORTEST,
    FrameEncoder,
    LogMelFrames,
    Recognizer,
    Transcribed,
    all_frames,
    encode_frames,
    train_recognizer,
)
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.supervised import FINE_TUNED_HEAD, Rates, fine_tuning_rates
from likewise.runs.recognition import typical_recordings
from likewise.tasks.ctc import WIDTH, Characters, CTCHead, frames_needed

SEEDS = 3
USUAL_RECORDINGS = (10, 100)
RAW = "raw-ctc"
RECOGNITION_PROTOCOLS = ("scratch", "frozen", "fine-tuned", "as-given", "untrained", RAW)
"""In the order of tables and charts; each but the last is one of `likewise.evaluation.PROTOCOLS`."""
TRAINED = ("scratch", "fine-tuned")
"""Those that train the encoder, too."""
MEASURES = ("cer", "wer")
"""Character and word error rate."""
EXAMPLES = 8
SHORT_SHARE = 0.1
"""Of recordings that have too few frames, above which the encoder is said to be unfit."""

# Chosen once, on tones that spell texts; no evaluation tunes them.
HEAD_RATE = 3e-3
SCRATCH_RATE = 5e-4
MIN_STEPS = 400
STEPS_PER_ROOT = 40
PART_OF_STEPS = 0.5
"""Fine-tuning begins with the head of `frozen`, and takes this part of the steps of the others."""


def evaluate_recognition(
    encoder: nn.Module,
    train: Transcribed,
    test: Transcribed,
    *,
    sample_rate: int,
    labelled: Sequence[LabelCount] | None = None,
    seeds: int = SEEDS,
    protocols: Sequence[str] | None = None,
    steps: int | None = None,
    make_encoder: Callable[[], nn.Module] | None = None,
    given: nn.Module | None = None,
    compute: ComputeSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the error rates of recognizers: an encoder, and a CTC head that learns from some transcripts.

    All protocols of a seed learn from the same recordings, and larger draws include the smaller ones. Recordings are
    encoded whole, without augmentation. The test part is only measured on.

    Args:
        encoder: pretrained, with `features(view)` of frames in time, and `grid(view)`; it is copied, never changed.
        train, test: recordings and what is said in them.
        sample_rate: of the recordings, in Hz.
        labelled: how many recordings with transcripts a protocol may learn from; None: `USUAL_RECORDINGS`, and all.
        seeds: number of draws, at least 1.
        protocols: some of `RECOGNITION_PROTOCOLS`; None: all, `as-given` only with `given`.
        steps: of the optimizer, half as many for fine-tuning; None: `budget(recordings)`.
        make_encoder: builds the untrained architecture; None: a copy of `encoder` with new weights.
        given: the encoder as it was before the training, where that went on from known weights.
        compute: where and how networks are run.
        progress: called with (steps done, of how many, what is being done).

    Returns:
        The value of "recognition" in `evaluation.json`. Error rates are shares of the reference's characters or words,
        above 1 where a recognizer says too much.

    Raises:
        UserError: for an argument or data that cannot be evaluated.
    """
    check_int(seeds=seeds, steps=steps)
    names = check_protocols(protocols, given=given is not None)
    if not (callable(getattr(encoder, "features", None)) and callable(getattr(encoder, "grid", None))):
        raise UserError(
            f"encoder must have features of frames in time (features and grid, see Encoder), got "
            f"{type(encoder).__name__}, which has none"
        )
    characters = Characters(train.texts)
    if not set(characters.characters) & set().union(*test.texts) - {" "}:
        raise UserError(
            f"the transcripts of train and test must have characters in common, got none: {train.texts[0][:40]!r} and "
            f"{test.texts[0][:40]!r}"
        )
    train, left_out = _long_enough(encoder, train, characters, sample_rate)
    counts = sample_counts(
        labelled,
        len(train.texts),
        train.source.name,
        usual=USUAL_RECORDINGS,
        samples="recordings with transcripts",
    )
    compute = compute or ComputeSettings(torch.device("cpu"))
    evaluation = RecognitionEvaluation(
        encoder=compute.place(copy.deepcopy(encoder)).requires_grad_(True).eval(),
        given=None if given is None else compute.place(copy.deepcopy(given)).eval(),
        make_encoder=make_encoder or partial(reinitialize, encoder),
        train=train,
        test=test,
        characters=characters,
        sample_rate=sample_rate,
        draws={(s, k): draw_samples(len(train.texts), k, s) for s in range(seeds) for k in counts},
        steps=steps,
        compute=compute,
        progress=progress or (lambda done, total, text: None),
    )
    trials, said = evaluation.run(names, counts, seeds)
    commonest = min(Counter(train.texts).items(), key=lambda item: (-item[1], len(item[0]), item[0]))[0]
    constant = [commonest] * len(test.texts)
    unknown = sorted(set().union(*test.texts) - set(characters.characters))
    pretrained = {name: _details(name)["pretrained"] for name in names}
    pairs = [(a, b) for a in names for b in names if pretrained[a] and not pretrained[b]]
    shown = evenly_spaced(len(test.texts), EXAMPLES).tolist()
    typical = typical_recordings(counts)
    return {
        "recordings": {"train": len(train.texts), "test": len(test.texts)},
        "characters": "".join(characters.characters),
        "unknown_characters": "".join(unknown),
        "left_out": left_out,
        "seeds": seeds,
        "labelled": counts,
        "protocols": names,
        "protocol_details": {name: _details(name) for name in names},
        "baseline": {
            "transcript": commonest,
            "cer": character_error_rate(test.texts, constant),
            "wer": word_error_rate(test.texts, constant),
        },
        "trials": trials,
        "summary": summary_by_measure(trials, MEASURES),
        "differences": differences_by_measure(trials, pairs, MEASURES),
        "examples": {
            "labelled": typical,
            "recordings": [
                {
                    "id": test.source.ids[i],
                    "reference": test.texts[i],
                    "hypotheses": {name: said[name, typical][i] for name in names},
                }
                for i in shown
            ],
        },
        "settings": _settings(steps, compute),
    }


def check_protocols(names: Sequence[str] | None, *, given: bool) -> list[str]:
    """See `chosen_protocols`."""
    return chosen_protocols(names, RECOGNITION_PROTOCOLS, of="with transcripts", given=given)


def budget(recordings: int) -> int:
    """Steps of the optimizer for this many recordings: max(400, 40·√recordings)."""
    return max(MIN_STEPS, round(STEPS_PER_ROOT * recordings**0.5))


def recognition_notes(recognition: dict[str, Any]) -> list[str]:
    """What people should know of a result of `evaluate_recognition`."""
    notes = []
    short = recognition["left_out"]
    if short:
        total = recognition["recordings"]["train"] + len(short)
        notes.append(
            f"{len(short):,} of {total:,} recordings left out of the training, the first {short[0][0]}: {short[0][1]}."
        )
        if len(short) > SHORT_SHARE * total:
            notes.append(
                "The frames of this encoder are too long for speech: an encoder with shorter ones, such as "
                "wav2vec2-tiny, learns from more of the recordings."
            )
    if unknown := recognition["unknown_characters"]:
        notes.append(f"Characters of the test transcripts that are in none to learn from: {' '.join(unknown)}.")
    return notes


class FramesOfAll(NamedTuple):
    """Frames by an encoder that stays as it is, on the CPU, and what they are standardized by."""

    encoder: nn.Module
    train: dict[int, Float[Tensor, "_ d"]]
    """By position, of the recordings that are drawn."""
    test: list[Float[Tensor, "_ d"]]
    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]


class RecognitionEvaluation:
    """What the trials of one evaluation share.

    Args:
        encoder: the pretrained one, on the device.
        given: likewise, with the known weights; None where there were none.
        make_encoder: builds the architecture with new weights, from torch's global generators.
        train, test: recordings and what is said in them.
        characters: of the transcripts of `train`.
        sample_rate: in Hz.
        draws: by (seed, number of recordings): positions in `train`.
        steps: of the optimizer; None: `budget`.
        compute, progress: see `evaluate_recognition`.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        given: nn.Module | None,
        make_encoder: Callable[[], nn.Module],
        train: Transcribed,
        test: Transcribed,
        characters: Characters,
        sample_rate: int,
        draws: dict[tuple[int, LabelCount], Int[Tensor, " _"]],
        steps: int | None,
        compute: ComputeSettings,
        progress: Progress,
    ) -> None:
        self.encoder, self.given, self.make_encoder = encoder, given, make_encoder
        self.train, self.test, self.characters, self.sample_rate = train, test, characters, sample_rate
        self.draws, self.steps, self.compute, self.progress = draws, steps, compute, progress
        self.targets = [characters.encode(text) for text in train.texts]
        self.seconds = num_samples(train.source) / sample_rate
        self._frames: tuple[str, FramesOfAll] | None = None
        self._heads: dict[tuple[int, LabelCount], CTCHead] = {}

    def run(
        self, names: Sequence[str], counts: Sequence[LabelCount], seeds: int
    ) -> tuple[list[dict[str, Any]], dict[tuple[str, LabelCount], list[str]]]:
        """All trials, and what each protocol made of the test recordings, by (protocol, recordings), with seed 0."""
        plan = [(name, seed, count) for name in names for seed in range(seeds) for count in counts]
        costs = [self._steps(name, seed, count) for name, seed, count in plan]
        trials, said = [], {}
        self.done, self.total = 0, sum(costs)
        for (name, seed, count), cost in zip(plan, costs, strict=True):
            self.doing = f"{name}, {count} recording{'s' * (count != 1)}, seed {seed}"
            started = time.perf_counter()
            with seeded(trial_seed(seed, name, count), self.compute.device):
                texts = self._trained(name, seed, count) if name in TRAINED else self._frozen(name, seed, count)
            measured = {"cer": character_error_rate, "wer": word_error_rate}
            trials.append(
                {"protocol": name, "labelled": count, "seed": seed}
                | {measure: rate(self.test.texts, texts) for measure, rate in measured.items()}
                | {"seconds": time.perf_counter() - started}
            )
            if seed == 0:
                said[name, count] = texts
            self.done += cost
        self.progress(self.total, self.total, "done")
        return trials, said

    def _steps(self, name: str, seed: int, count: LabelCount) -> int:
        steps = self.steps or budget(len(self.draws[seed, count]))
        return max(1, round(PART_OF_STEPS * steps)) if name == "fine-tuned" else steps

    def _frozen(self, name: str, seed: int, count: LabelCount) -> list[str]:
        """A head on the frames of an encoder that stays as it is."""
        frames = self.frames(name, seed)
        return self._recognizer(frames.encoder, self._fit_head(name, seed, count)).transcribe(frames.test)

    def _fit_head(self, name: str, seed: int, count: LabelCount) -> CTCHead:
        frames, drawn = self.frames(name, seed), self.draws[seed, count]
        head = CTCHead(len(frames.mean), len(self.characters), mean=frames.mean, scale=frames.scale)
        head = head.to(self.compute.device)
        recognizer = self._recognizer(frames.encoder, head)
        self._fit(recognizer, lambda some: [frames.train[i] for i in drawn[some].tolist()], name, seed, count, 0.0)
        if name == "frozen":
            self._heads[seed, count] = head
        return head

    def _trained(self, name: str, seed: int, count: LabelCount) -> list[str]:
        """Encoder and head trained together: from new weights, or from the pretrained ones and the head of `frozen`."""
        drawn = self.draws[seed, count]
        if name == "scratch":
            encoder: nn.Module = FrameEncoder(self.compute.place(self.make_encoder()).requires_grad_(True))
            silence = torch.zeros(1, round(SHORTEST * self.sample_rate), device=self.compute.device)
            with torch.no_grad():
                dim = self.compute.forward(encoder.eval(), silence).shape[2]
            head, rate = CTCHead(dim, len(self.characters)), SCRATCH_RATE
        else:
            if (seed, count) not in self._heads:
                with seeded(trial_seed(seed, "frozen", count), self.compute.device):
                    self._fit_head("frozen", seed, count)
            encoder = FrameEncoder(copy.deepcopy(self.encoder).requires_grad_(True))
            head, rate = copy.deepcopy(self._heads[seed, count]), fine_tuning_rates(len(drawn)).encoder
        recognizer = self._recognizer(encoder, head.to(self.compute.device))

        def frames(some: Int[Tensor, " b"]) -> list[Tensor]:
            recordings = self.train.source.read(drawn[some])
            return encode_frames(encoder, recordings, self.sample_rate, self.compute)

        self._fit(recognizer, frames, name, seed, count, rate)
        everything = torch.arange(len(self.test.texts))
        return recognizer.transcribe(all_frames(encoder, self.test.source, everything, self.sample_rate, self.compute))

    def frames(self, name: str, seed: int) -> FramesOfAll:
        """The frames of all recordings that are needed, by an encoder that stays as it is; the last are kept."""
        key = f"{name} {seed}" if name == "untrained" else name
        if self._frames is None or self._frames[0] != key:
            self._frames = None  # before the next are in memory
            with seeded(trial_seed(seed, name, 0), self.compute.device):
                self._frames = key, self._encode_all(self._frozen_encoder(name))
        return self._frames[1]

    def _frozen_encoder(self, name: str) -> nn.Module:
        if name == RAW:
            return LogMelFrames(self.sample_rate)
        if name == "untrained":
            return FrameEncoder(self.compute.place(self.make_encoder()))
        encoder = self.given if name == "as-given" else self.encoder
        assert encoder is not None
        return FrameEncoder(encoder)

    def _encode_all(self, encoder: nn.Module) -> FramesOfAll:
        needed = torch.cat(list(self.draws.values())).unique()
        encode = partial(all_frames, encoder.eval(), sample_rate=self.sample_rate, compute=self.compute)
        train = encode(self.train.source, needed)
        test = encode(self.test.source, torch.arange(len(self.test.texts)))
        total = sum(len(each) for each in train)
        mean = sum((each.sum(0) for each in train), torch.zeros(train[0].shape[1])) / total
        squares = sum(((each - mean).square().sum(0) for each in train), torch.zeros_like(mean)) / total
        average = squares.mean().sqrt().clamp_min(1e-12)
        scale = squares.sqrt().maximum(MIN_SCALE * average)
        return FramesOfAll(encoder, dict(zip(needed.tolist(), train, strict=True)), test, mean, scale)

    def _fit(
        self,
        recognizer: Recognizer,
        frames: Callable[[Int[Tensor, " b"]], list[Float[Tensor, "_ d"]]],
        name: str,
        seed: int,
        count: LabelCount,
        encoder_rate: float,
    ) -> None:
        drawn = self.draws[seed, count]
        rate = FINE_TUNED_HEAD if name == "fine-tuned" else HEAD_RATE
        train_recognizer(
            recognizer,
            frames,
            [self.targets[i] for i in drawn.tolist()],
            self.seconds[drawn],
            rates=Rates(encoder_rate, rate),
            steps=self._steps(name, seed, count),
            seed=trial_seed(seed, name, count),
            callback=lambda step: self.progress(min(self.done + step, self.total), self.total, self.doing),
        )

    def _recognizer(self, encoder: nn.Module, head: CTCHead) -> Recognizer:
        return Recognizer(encoder, head, self.characters, self.sample_rate, self.compute)


def _long_enough(
    encoder: Any, train: Transcribed, characters: Characters, sample_rate: int
) -> tuple[Transcribed, list[list[str]]]:
    """The recordings that have as many frames as their transcripts need, and the others, each with the reason.

    Raises:
        UserError: where there are none.
    """
    shortest = round(SHORTEST * sample_rate)
    lengths = num_samples(train.source).clamp(min=shortest).tolist()
    frames = {length: encoder.grid(torch.zeros(1, length))[0] for length in set(lengths)}
    needed = [frames_needed(characters.encode(text).tolist()) for text in train.texts]
    fits = [frames[length] >= need for length, need in zip(lengths, needed, strict=True)]
    if not any(fits):
        every = 1000 * sum(lengths) / sample_rate / sum(frames[length] for length in lengths)
        raise UserError(
            f"encoder must have a frame for each character, got one every {every:.0f} ms, too few for each of the "
            f"{len(fits):,} transcripts of {train.source.name}: take an encoder with shorter frames, such as "
            "wav2vec2-tiny"
        )
    left_out = [
        [train.source.ids[i], f"too short for its transcript: {frames[lengths[i]]} frames, {needed[i]} needed"]
        for i, fit in enumerate(fits)
        if not fit
    ]
    if not left_out:
        return train, []
    kept = [i for i, fit in enumerate(fits) if fit]
    return Transcribed(Subset(train.source, torch.tensor(kept)), [train.texts[i] for i in kept]), left_out


def _details(name: str) -> dict[str, Any]:
    """What tables and charts need of a protocol."""
    if name == RAW:
        return {
            "label": "Head on log-mel frames",
            "style": LineStyle("--grey", "dot", "cross")._asdict(),
            "pretrained": False,
        }
    return PROTOCOLS[name]().details("log-mel")


def _settings(steps: int | None, compute: ComputeSettings) -> dict[str, Any]:
    """What the protocols were given besides data."""
    return {
        "confidence": CONFIDENCE,
        "device": str(compute.device),
        "autocast": compute.autocast,
        "head": f"bidirectional LSTM, {WIDTH} units a direction, and a linear layer",
        "decoding": "greedy",
        "optimizer": "adamw",
        "schedule": "linear warm-up, cosine to zero",
        "steps": steps or f"max({MIN_STEPS}, {STEPS_PER_ROOT}·√recordings)",
        "part_of_steps_fine_tuned": PART_OF_STEPS,
        "lr": {"head": HEAD_RATE, "scratch_encoder": SCRATCH_RATE, "fine_tuned_head": FINE_TUNED_HEAD},
        "batch": f"at most {BATCH_RECORDINGS} recordings, {BATCH_SECONDS} s",
    }
