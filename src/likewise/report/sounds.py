"""Sounds of the page: short WAV files within it."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np
from jaxtyping import Int16, UInt8

MOST_SAMPLES = 65_536
"""Of a sound on the page: more are halved in rate, down to what a telephone has, and then in bits."""
LOWEST_RATE = 8_000


def wav_uri(sound: Int16[np.ndarray, " n"], sample_rate: int) -> str:
    """A sound as a data URI, kept to the bit where it is short."""
    while len(sound) > MOST_SAMPLES and sample_rate >= 2 * LOWEST_RATE:
        pairs = sound[: len(sound) // 2 * 2].reshape(-1, 2)
        sound = np.round(pairs.mean(axis=1)).astype(np.int16)  # neighbours' means: the crudest low-pass
        sample_rate //= 2
    data: Int16[np.ndarray, " n"] | UInt8[np.ndarray, " n"] = sound.astype("<i2")
    if len(sound) > MOST_SAMPLES:
        data = ((sound.astype(np.int32) >> 8) + 128).astype(np.uint8)  # bytes of WAV have no sign
    return f"data:audio/wav;base64,{base64.b64encode(wav_bytes(data, sample_rate)).decode()}"


def wav_bytes(data: Int16[np.ndarray, " n"] | UInt8[np.ndarray, " n"], sample_rate: int) -> bytes:
    """A sound of one channel as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(data.itemsize)
        file.setframerate(sample_rate)
        file.writeframes(data.tobytes())
    return buffer.getvalue()
