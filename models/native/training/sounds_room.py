"""What lies between a sound and a microphone: pitch and tempo, a room, a channel, a level."""

import numpy as np
from scipy import fft

from sounds_bank import SAMPLE_RATE_HZ


def warp(rng, pcm, factor, wobble):
    """Plays `pcm` faster by `factor`, with a slow wobble of relative depth `wobble`: pitch, formants and tempo move together."""
    count = int(len(pcm) / factor)
    if count < 2:
        return pcm
    if wobble > 0:
        # The wobble turns a few times a second, so a point every 10 ms describes it.
        t = np.arange(count // 160 + 2) / 100
        rate = 1 + wobble * (np.sin(2 * np.pi * rng.uniform(0.5, 2) * t + rng.uniform(0, 6.3)) + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 6) * t + rng.uniform(0, 6.3)))
        position = np.interp(np.arange(count), t * SAMPLE_RATE_HZ, np.cumsum(rate))
        position = (position - position[0]) * ((len(pcm) - 1) / (position[-1] - position[0]))
    else:
        position = np.linspace(0, len(pcm) - 1, count)
    low = position.astype(np.int32)
    part = (position - low).astype(np.float32)
    return pcm[low] * (1 - part) + pcm[np.minimum(low + 1, len(pcm) - 1)] * part


def channel_response(rng, size, strength=1.0):
    """Gain over the rfft bins of `size` samples: a microphone and its place, at times a telephone or a codec's low-pass."""
    frequency = np.linspace(0, SAMPLE_RATE_HZ / 2, 1025)
    knots_hz = np.array([20, 60, 120, 250, 500, 1000, 2000, 4000, 8000])
    knots_db = np.cumsum(rng.normal(0, 2.2 * strength, 9))
    knots_db += rng.normal(0, 3 * strength) * np.log2(knots_hz / 1000)
    cut = rng.random()
    low_cut, high_cut = rng.uniform(8, 130), 8000.0
    if cut < 0.15:
        low_cut, high_cut = rng.uniform(200, 400), rng.uniform(3000, 3800)
    elif cut < 0.35:
        high_cut = rng.uniform(2800, 7500)
    x = np.log2(np.maximum(frequency, 10))
    gain_db = np.interp(x, np.log2(knots_hz), knots_db - knots_db.mean())
    gain_db = gain_db - rng.uniform(12, 36) * np.maximum(0, np.log2(low_cut) - x) - 60 * np.maximum(0, x - np.log2(high_cut))
    gain = 10 ** (np.clip(gain_db, -80, 30) / 20)
    return np.interp(np.linspace(0, 1024, size // 2 + 1), np.arange(1025), gain).astype(np.float32)


def room_response(rng):
    """An impulse response: the direct sound, early reflections and an exponentially decaying tail that loses its treble."""
    reverberation_s = rng.choice([0.0, rng.uniform(0.1, 0.4), rng.uniform(0.3, 1.1)], p=[0.25, 0.5, 0.25])
    if reverberation_s == 0:
        return np.ones(1, np.float32)
    count = int(min(0.7, reverberation_s) * SAMPLE_RATE_HZ)
    t = np.arange(count) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(count) * np.exp(-6.9 * t / reverberation_s)
    tail[1:] = 0.6 * tail[1:] + 0.4 * tail[:-1]
    tail[: int(rng.uniform(0.005, 0.02) * SAMPLE_RATE_HZ)] = 0
    tail *= 10 ** (rng.uniform(-14, 2) / 20) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    for _ in range(rng.integers(2, 7)):
        tail[int(rng.uniform(0.001, 0.04) * SAMPLE_RATE_HZ) % count] += rng.uniform(-0.5, 0.5)
    tail[0] = 1
    return tail.astype(np.float32)


def through(rng, pcm, strength=1.0):
    """The sound in a random room at a random microphone; longer by the reverberation."""
    room = room_response(rng)
    count = len(pcm) + len(room) - 1
    size = fft.next_fast_len(count + 2048, real=True)
    spectrum = fft.rfft(pcm, size) * channel_response(rng, size, strength)
    if len(room) > 1:
        spectrum *= fft.rfft(room, size)
    return fft.irfft(spectrum, size)[:count]


def rms(pcm):
    """Root mean square of the louder half of 20 ms frames, so that pauses do not count."""
    frames = pcm[: len(pcm) // 320 * 320].reshape(-1, 320) if len(pcm) >= 320 else pcm[None]
    power = np.sort(np.mean(frames.astype(np.float32) ** 2, axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()) + 1e-9)


def decibels(db):
    """The factor of a level in decibels."""
    return np.float32(10 ** (db / 20))
