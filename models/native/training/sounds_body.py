"""Generated noises of the body that are no speech: coughs, sneezes, throat clearing, breath, sniffing, a breathy laugh."""

import numpy as np

from sounds_bank import SAMPLE_RATE_HZ as RATE
from sounds_synth import band_noise, envelope, place, pulses, slow_curve, tract


def cough_once(rng, scale):
    """Explosion, a hissing outflow, and at times a short voiced end."""
    count = int(rng.uniform(0.22, 0.55) * RATE)
    burst = rng.standard_normal(count) * envelope(count, rng.uniform(0.001, 0.006), rng.uniform(0.012, 0.035)) * rng.uniform(1.5, 4)
    flow = rng.standard_normal(count) * envelope(count, rng.uniform(0.01, 0.04), rng.uniform(0.05, 0.14))
    out = tract(burst + flow, rng, scale, rng.uniform(1.5, 4)) + 0.15 * (burst + flow)
    if rng.random() < 0.55:
        start = int(rng.uniform(0.0, 0.15) * RATE)
        f0 = rng.uniform(110, 380) * np.linspace(1.1, rng.uniform(0.6, 0.95), count - start)
        voice = pulses(f0, rng, rng.uniform(0.05, 0.25)) * np.hanning(count - start)
        out[start:] += tract(voice, rng, scale, 2) * rng.uniform(0.3, 2.0)
    return out * np.minimum(1, (count - np.arange(count)) / 800)


def coughs(rng):
    scale, parts, at = rng.uniform(0.85, 1.25), [], 0.0
    for i in range(rng.choice([1, 2, 2, 3, 3, 4])):
        piece = cough_once(rng, scale) * (0.85**i)
        parts.append((at, piece))
        at += len(piece) / RATE + rng.uniform(-0.05, 0.35)
    return place(parts, at + 0.3)


def sneeze(rng):
    inhale = int(rng.uniform(0.2, 0.6) * RATE)
    out = int(rng.uniform(0.25, 0.6) * RATE)
    breath = tract(rng.standard_normal(inhale), rng, 1.2, 3) * np.linspace(0, 1, inhale) ** 2 * rng.uniform(0.05, 0.4)
    blast = band_noise(rng, out, rng.uniform(700, 2500), 7500, 14) * envelope(out, 0.004, rng.uniform(0.06, 0.16))
    voice = tract(pulses(rng.uniform(180, 450) * np.linspace(1.2, 0.7, out), rng, 0.1), rng, 1.1, 2) * envelope(out, 0.01, 0.08)
    return np.concatenate([breath, np.zeros(int(rng.uniform(0.02, 0.1) * RATE)), blast * 0.5 + voice * rng.uniform(0, 1)])


def throat(rng):
    """Clearing the throat: rough, low, slowly beating pulses with much noise."""
    parts, at, scale = [], 0.0, rng.uniform(0.8, 1.15)
    for _ in range(rng.integers(1, 4)):
        count = int(rng.uniform(0.2, 0.6) * RATE)
        rough = pulses(rng.uniform(40, 120) * slow_curve(rng, count, 25, 0.5, 1.5), rng, 0.4) + rng.uniform(0.2, 0.8) * rng.standard_normal(count)
        beat = 1 - 0.7 * slow_curve(rng, count, rng.uniform(15, 40))
        parts.append((at, tract(rough * beat, rng, scale, 2.5) * np.hanning(count) ** 0.5))
        at += count / RATE + rng.uniform(0.02, 0.25)
    return place(parts, at)


def laugh(rng):
    """A breathy, mostly unvoiced laugh."""
    rate, parts = rng.uniform(3.5, 6), []
    total, scale = int(rng.integers(3, 8)), rng.uniform(0.9, 1.3)
    for i in range(total):
        count = int(0.6 / rate * RATE)
        source = rng.standard_normal(count) + rng.uniform(0, 0.6) * pulses(np.full(count, rng.uniform(150, 400)), rng, 0.1)
        parts.append((i / rate, tract(source, rng, scale, 2) * np.hanning(count) * 0.9**i))
    return place(parts, total / rate)


def sniff(rng):
    parts, at = [], 0.0
    for _ in range(rng.integers(1, 4)):
        count = int(rng.uniform(0.12, 0.45) * RATE)
        parts.append((at, band_noise(rng, count, rng.uniform(300, 1500), rng.uniform(3000, 7500), 14) * np.linspace(0.1, 1, count) ** rng.uniform(0.5, 2)))
        at += count / RATE + rng.uniform(0.1, 0.5)
    return place(parts, at)


def breathing(rng):
    parts, at = [], 0.0
    for i in range(rng.integers(2, 7)):
        count = int(rng.uniform(0.35, 1.4) * RATE)
        parts.append((at, tract(rng.standard_normal(count), rng, 1.0 + 0.2 * (i % 2), 3) * np.hanning(count) ** rng.uniform(0.4, 1.5) * rng.uniform(0.4, 1)))
        at += count / RATE + rng.uniform(0.02, 0.4)
    return place(parts, at)


def smack(rng):
    return place([(s, band_noise(rng, 480, 900, 5000, 12) * envelope(480, 0.001, 0.004)) for s in np.cumsum(rng.uniform(0.05, 0.5, rng.integers(1, 5)))], 2)


COUGHS = [coughs, coughs, coughs, coughs, sneeze, throat, throat, laugh, sniff, breathing, smack]
