"""Building blocks of the generated sounds: shaped noise, resonances, pulses, struck bodies, envelopes; float64 at 16 kHz."""

import numpy as np
from scipy.signal import lfilter

from sounds_bank import SAMPLE_RATE_HZ as RATE


def seconds_axis(seconds):
    """Sample times in seconds."""
    return np.arange(int(seconds * RATE)) / RATE


def slow_curve(rng, count, rate_hz, low=0.0, high=1.0):
    """A random smooth curve of `count` samples between low and high, with about `rate_hz` turns a second."""
    knots = max(4, int(count / RATE * rate_hz) + 3)
    return np.interp(np.linspace(0, knots - 1, count), np.arange(knots), rng.uniform(low, high, knots))


def shaped_noise(rng, count, knots_hz, knots_db):
    """Gaussian noise whose spectrum follows the given points over log-frequency, RMS 1."""
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    gain = np.interp(np.log(np.maximum(frequency, 10)), np.log(knots_hz), knots_db)
    spectrum = np.fft.rfft(rng.standard_normal(count)) * 10 ** (gain / 20)
    noise = np.fft.irfft(spectrum, count)
    return noise / (noise.std() + 1e-9)


def coloured_noise(rng, count, slope_db_per_octave=None, bumps=0):
    """Noise of a constant slope (0 white, -3 pink, -6 brown) with random resonances."""
    slope = rng.uniform(-8, 2) if slope_db_per_octave is None else slope_db_per_octave
    knots_hz = np.geomspace(20, 8000, 25)
    gain = slope * np.log2(knots_hz / 20) + (rng.uniform(-1, 1, 25) * 6 if bumps else 0)
    for _ in range(bumps):
        gain = gain + rng.uniform(5, 18) * np.exp(-((np.log2(knots_hz / rng.uniform(80, 6000)) / rng.uniform(0.2, 0.8)) ** 2))
    return shaped_noise(rng, count, knots_hz, gain)


def band_noise(rng, count, low_hz, high_hz, skirt_db=30):
    """Noise between two frequencies, falling by skirt_db within an octave outside."""
    return shaped_noise(rng, count, [10, low_hz / 2, low_hz, high_hz, high_hz * 2, 20000], [-60, -skirt_db, 0, 0, -skirt_db, -60])


def resonator(pcm, frequency_hz, bandwidth_hz):
    """One formant: a two-pole resonance with gain 1 at its centre, roughly."""
    radius = np.exp(-np.pi * bandwidth_hz / RATE)
    angle = 2 * np.pi * frequency_hz / RATE
    return lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], pcm)


def tract(pcm, rng, scale=1.0, wide=1.5):
    """A vocal-tract-like colour: four parallel formants of an open, neutral vowel, moved at random."""
    centres = np.array([560, 1350, 2500, 3500]) * scale * rng.uniform(0.8, 1.25, 4)
    gains = np.array([1, 0.7, 0.5, 0.3]) * rng.uniform(0.5, 1.5, 4)
    return sum(g * resonator(pcm, f, wide * rng.uniform(80, 200)) for f, g in zip(centres, gains)) + 0.1 * pcm


def pulses(frequency_hz, rng, jitter=0.02):
    """A train of soft pulses at a frequency given per sample."""
    phase = np.cumsum(frequency_hz * (1 + jitter * slow_curve(rng, len(frequency_hz), 60, -1, 1)) / RATE)
    train = np.diff(np.floor(phase), prepend=0)
    return lfilter([1], [1, -0.93], train * rng.uniform(0.8, 1.2, len(train))) - 0.03


def envelope(count, attack_s, decay_s):
    """Linear rise, exponential fall."""
    t = np.arange(count) / RATE
    return np.minimum(1, t / max(attack_s, 1e-4)) * np.exp(-np.maximum(0, t - attack_s) / decay_s)


def modes(rng, seconds, base_hz, count, decay_s, spread=1.0):
    """A struck body: `count` inharmonic decaying partials above base_hz."""
    t = seconds_axis(seconds)
    ratio = np.sort(1 + spread * np.cumsum(rng.uniform(0.2, 1.4, count)) - 0.2)
    frequency = base_hz * ratio
    keep = frequency < 7600
    frequency = frequency[keep]
    decay = decay_s * rng.uniform(0.3, 1.3, len(frequency)) / (1 + frequency / 4000)
    gain = rng.uniform(0.2, 1, len(frequency)) / np.sqrt(np.arange(len(frequency)) + 1)
    tone = np.exp(-t[None] / decay[:, None]) * np.sin(2 * np.pi * frequency[:, None] * t + rng.uniform(0, 6.3, (len(frequency), 1)))
    return gain @ tone


def place(parts, seconds):
    """Mixes (start_s, pcm) parts into one sound of the given length; what runs over is cut."""
    out = np.zeros(int(seconds * RATE))
    for start, pcm in parts:
        at = int(start * RATE)
        piece = pcm[: max(0, len(out) - at)]
        out[at : at + len(piece)] += piece
    return out


def poisson_times(rng, seconds, rate_hz):
    """Random moments at a mean rate."""
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate_hz * seconds)))
