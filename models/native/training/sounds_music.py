"""Generated instrumental music: no voices. Every function returns float32-able samples at 16 kHz, of any level."""

import numpy as np
from scipy.signal import lfilter

from sounds_bank import SAMPLE_RATE_HZ as RATE
from sounds_synth import band_noise, envelope, modes, place, resonator, seconds_axis, slow_curve

SCALES = [[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9], [0, 3, 5, 7, 10], [0, 2, 3, 5, 7, 9, 10]]


def pluck(rng, frequency_hz, seconds):
    """A plucked string (Karplus and Strong, 1983), one period at a time; the period is a whole number of samples."""
    period = max(8, int(round(RATE / frequency_hz)))
    string = rng.uniform(-1, 1, period)
    for _ in range(rng.integers(0, 6)):
        string = 0.5 * (string + np.roll(string, 1))
    # Plucked at a point, the string lacks the harmonics that have a node there.
    string = string - rng.uniform(0.3, 1) * np.roll(string, max(1, int(period * rng.uniform(0.08, 0.5))))
    loss, keep = 10 ** (-3 * period / RATE / rng.uniform(0.4, 5)), rng.uniform(0.5, 0.95)
    rows = np.empty((int(seconds * RATE) // period + 1, period))
    for row in rows:
        row[:] = string
        string = loss * (keep * string + (1 - keep) * np.roll(string, 1))
    return rows.ravel()[: int(seconds * RATE)]


def additive(frequency_hz, seconds, gains, decay_s, stretch=0.0, attack_s=0.004):
    """Decaying partials, higher ones faster: piano, marimba, electric piano, organ with a long decay."""
    t = seconds_axis(seconds)
    k = np.arange(1, len(gains) + 1)
    f = k * frequency_hz * np.sqrt(1 + stretch * k**2)
    keep = f < 7600
    tone = np.exp(-t / (decay_s / np.sqrt(k[keep]))[:, None]) * np.sin(2 * np.pi * f[keep, None] * t)
    return np.asarray(gains)[keep] @ tone * np.minimum(1, t / attack_s) * np.minimum(1, (seconds - t) / 0.02)


def sustained(rng, frequency_hz, seconds, kind):
    """Bowed, blown and synthetic tones with vibrato."""
    t = seconds_axis(seconds)
    depth = {"violin": 0.008, "flute": 0.005, "brass": 0.003, "pad": 0.001, "reed": 0.004}[kind] * rng.uniform(0.3, 1.6)
    delay = np.clip(t * 3 - 0.3, 0, 1)
    bend = 1 + depth * delay * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * t) - 0.03 * np.exp(-t / 0.03) * rng.random()
    phase = 2 * np.pi * np.cumsum(frequency_hz * bend) / RATE
    slope = {"violin": 1.0, "flute": 2.2, "brass": 0.9, "pad": 1.4, "reed": 0.8}[kind]
    count = min(24, max(1, int(7500 / frequency_hz)))
    step = 2 if kind == "reed" else 1
    tone = sum(np.sin(k * phase + k) / k**slope for k in range(1, count + 1, step))
    if kind == "pad":
        tone = tone + sum(np.sin(1.006 * k * phase) / k**slope for k in range(1, count + 1))
    if kind == "violin":
        tone = tone + sum(resonator(tone, f, 80) for f in (290, 460, 1200, 2600)) + 0.03 * rng.standard_normal(len(t))
    if kind == "flute":
        tone = tone + rng.uniform(0.02, 0.15) * band_noise(rng, len(t), frequency_hz, 5000, 10)
    attack = {"violin": 0.07, "flute": 0.05, "brass": 0.03, "pad": 0.25, "reed": 0.04}[kind]
    return tone * np.minimum(1, t / attack) * np.minimum(1, (seconds - t) / min(0.1, seconds / 3)) * (1 + 0.15 * delay * np.sin(2 * np.pi * 5 * t))


def note(rng, instrument, frequency_hz, seconds):
    """One note of a named instrument."""
    if instrument == "guitar":
        return pluck(rng, frequency_hz, min(3, seconds + 1)) * np.minimum(1, np.linspace((seconds + 1) * 8, 0, int(min(3, seconds + 1) * RATE)))
    if instrument == "piano":
        return additive(frequency_hz, min(3, seconds + 0.6), rng.uniform(0.5, 1, 14) / np.arange(1, 15) ** 1.3, rng.uniform(0.6, 1.6), 0.0004)
    if instrument == "marimba":
        return additive(frequency_hz, 0.8, [1, 0, 0, 0.4, 0, 0, 0, 0, 0.15], 0.18)
    if instrument == "organ":
        return additive(frequency_hz, seconds, [1, 0.7, 0.4, 0.5, 0.1, 0.2, 0, 0.3], 20.0, attack_s=0.02)
    if instrument == "bell":
        return modes(rng, min(3, seconds + 1.5), frequency_hz, 8, 1.0, 0.9)
    if instrument == "bass":
        return pluck(rng, frequency_hz, seconds + 0.1) + additive(frequency_hz, seconds + 0.1, [1, 0.5, 0.2], 0.8)
    return sustained(rng, frequency_hz, seconds, instrument)


LEADS = ["guitar", "guitar", "piano", "piano", "marimba", "organ", "bell", "violin", "flute", "brass", "reed", "pad"]
CHORDS = ["guitar", "guitar", "piano", "organ", "pad", "violin"]


def drums(rng, seconds, beat_s):
    """Kick, snare and hat on a random pattern of sixteenths."""
    count = int(RATE * 0.3)
    t = seconds_axis(0.3)
    kick = np.sin(2 * np.pi * np.cumsum(rng.uniform(45, 60) + 120 * np.exp(-t / 0.02)) / RATE) * envelope(count, 0.002, 0.08)
    snare = band_noise(rng, count, 300, 6000, 12) * envelope(count, 0.001, rng.uniform(0.03, 0.08)) + np.sin(2 * np.pi * 190 * t) * envelope(count, 0.001, 0.04)
    hat = band_noise(rng, count, 5500, 7900, 30) * envelope(count, 0.001, rng.uniform(0.01, 0.06)) * 0.5
    pattern = [rng.random(16) < p for p in (0.2, 0.08, rng.uniform(0.2, 0.9))]
    pattern[0][[0, 8]] = True
    pattern[1][[4, 12]] = True
    parts, step = [], 0
    while step * beat_s / 4 < seconds:
        parts += [(step * beat_s / 4, sound * rng.uniform(0.7, 1)) for sound, hits in zip((kick, snare, hat), pattern) if hits[step % 16]]
        step += 1
    return place(parts, seconds)


def piece(rng, seconds):
    """A short piece: any of melody, chords, bass and drums over a random progression."""
    beat = 60 / rng.uniform(60, 170)
    scale, root = SCALES[rng.integers(len(SCALES))], rng.uniform(98, 196)
    degrees = rng.integers(0, len(scale), 4)

    def pitch(degree):
        return root * 2 ** ((scale[degree % len(scale)] + 12 * (degree // len(scale))) / 12)

    layers = {name: rng.random() < p for name, p in (("melody", 0.75), ("chords", 0.6), ("bass", 0.45), ("drums", 0.4))}
    if not any(layers.values()):
        layers["melody"] = True
    parts = []
    if layers["melody"]:
        instrument, at, degree = rng.choice(LEADS), rng.uniform(0, 1), int(rng.integers(3, 12))
        shift = rng.choice([0.5, 1, 1, 2])
        while at < seconds:
            length = beat * rng.choice([0.25, 0.5, 0.5, 1, 1, 2])
            if rng.random() < 0.88:
                parts.append((at, note(rng, instrument, shift * pitch(degree), max(0.1, length * rng.uniform(0.6, 1.1))) * rng.uniform(0.5, 1)))
            degree = int(np.clip(degree + rng.integers(-3, 4), 0, 16))
            at += length
    if layers["chords"]:
        instrument, strum = rng.choice(CHORDS), rng.uniform(0, 0.04)
        arpeggio = rng.random() < 0.35
        for bar in range(int(seconds / (4 * beat)) + 1):
            base = int(degrees[bar % 4])
            for i, step in enumerate([0, 2, 4, 7][: rng.integers(3, 5)]):
                repeats = [i] if arpeggio else rng.choice([[0], [0, 2], [0, 1, 2, 3]][rng.integers(3)], 1)
                for hit in repeats:
                    start = bar * 4 * beat + hit * beat + i * strum
                    parts.append((start, note(rng, instrument, pitch(base + step), beat * rng.uniform(1, 3)) * 0.5))
    if layers["bass"]:
        for hit in range(int(seconds / beat / 2) + 1):
            parts.append((hit * 2 * beat, note(rng, "bass", pitch(int(degrees[(hit // 2) % 4])) / 2, beat * rng.uniform(0.8, 2)) * 0.8))
    mixed = place([(s, p / (np.abs(p).max() + 1e-6) * rng.uniform(0.6, 1)) for s, p in parts if s < seconds], seconds)
    if layers["drums"]:
        mixed = mixed + drums(rng, seconds, beat) * rng.uniform(0.3, 1)
    return lfilter([1], [1, -rng.uniform(0, 0.5)], mixed)


def drone(rng, seconds):
    """One or two instruments on slow long notes, without rhythm."""
    parts, at = [], 0.0
    while at < seconds:
        length = rng.uniform(0.4, 3)
        parts.append((at, note(rng, rng.choice(["violin", "flute", "pad", "organ", "brass", "reed"]), rng.uniform(110, 900), length) * rng.uniform(0.3, 1)))
        at += length * rng.uniform(0.4, 1.3)
    return place(parts, seconds) * slow_curve(rng, int(seconds * RATE), 0.5, 0.5, 1)


def guitar(rng, seconds):
    """One guitar alone, strummed or picked, with its body, damped strings and the noise of the fingers."""
    scale, root, beat = SCALES[rng.integers(len(SCALES))], rng.uniform(78, 130), 60 / rng.uniform(60, 160)
    shapes = [[0, 7, 12, 16, 19, 24], [0, 7, 12, 15, 19, 24], [0, 7, 12, 19], [0, 4, 7, 12], [0, 7]]
    strummed, rate = rng.random() < 0.5, rng.choice([1, 2, 3, 4])
    parts, at, chord = [], rng.uniform(0, 0.5), []
    while at < seconds:
        if not chord or rng.random() < 0.12:
            base = root * 2 ** (scale[rng.integers(len(scale))] / 12)
            chord = [base * 2 ** (step / 12) for step in shapes[rng.integers(len(shapes))]]
        level, length = rng.uniform(0.3, 1), beat * rng.choice([0.4, 1, 2, 4])
        struck = chord if strummed else [chord[rng.integers(len(chord))] for _ in range(rng.integers(1, 3))]
        spread = rng.uniform(0.003, 0.03)
        for i, f in enumerate(struck if rng.random() < 0.6 else struck[::-1]):
            string = pluck(rng, f * rng.uniform(0.997, 1.003), min(2.5, length))
            parts.append((at + i * spread, string * level * np.minimum(1, np.arange(len(string), 0, -1) / 400)))
        if rng.random() < 0.3:
            parts.append((at, band_noise(rng, 1200, 700, 5000, 12) * envelope(1200, rng.uniform(0.001, 0.02), 0.015) * rng.uniform(0.05, 0.4)))
        at += beat / rate * rng.choice([1, 1, 1, 2, 0.5]) * rng.uniform(0.97, 1.03)
    dry = place([(s, p) for s, p in parts if s < seconds], seconds)
    return dry + sum(rng.uniform(0, 3) * resonator(dry, f * rng.uniform(0.85, 1.15), rng.uniform(15, 60)) for f in (105, 205, 390, 560))


MUSIC = [piece, piece, piece, piece, guitar, guitar, drone]
