"""Generated sounds that are not speech: steady textures and single events.

Every function takes a random generator and returns samples at 16 kHz, of any level: the bank normalises.
"""

import numpy as np

from sounds_bank import SAMPLE_RATE_HZ as RATE
from sounds_synth import band_noise, coloured_noise, envelope, modes, place, poisson_times, pulses, resonator, seconds_axis, shaped_noise, slow_curve, tract

# ---- textures: several seconds of something that goes on ----


def plain_noise(rng, seconds):
    return coloured_noise(rng, int(seconds * RATE), rng.choice([0, -3, -6, None]), int(rng.integers(0, 5)))


def tone_stack(rng, seconds, low_hz, high_hz, wander):
    """Harmonics of a slowly wandering fundamental: hum, motors, blenders, drills."""
    count = int(seconds * RATE)
    base = rng.uniform(low_hz, high_hz) * slow_curve(rng, count, rng.uniform(0.2, 2), 1 - wander, 1 + wander)
    phase = 2 * np.pi * np.cumsum(base) / RATE
    partials = [p for p in rng.choice(np.arange(1, 30), int(rng.integers(4, 14)), replace=False) if p * base.max() < 7500]
    return sum(rng.uniform(0.1, 1) / p**0.6 * np.sin(p * phase + rng.uniform(0, 6)) for p in partials or [1])


def hum(rng, seconds):
    return tone_stack(rng, seconds, *rng.choice([[50, 50.01], [60, 60.01], [100, 120]]), 0.0005) + 0.1 * coloured_noise(rng, int(seconds * RATE), -3)


def motor(rng, seconds):
    noise = coloured_noise(rng, int(seconds * RATE), -3, 3)
    return tone_stack(rng, seconds, 40, 320, rng.uniform(0.001, 0.15)) + rng.uniform(0.1, 1.5) * noise


def traffic(rng, seconds):
    count = int(seconds * RATE)
    rumble = coloured_noise(rng, count, -6) * slow_curve(rng, count, 0.5, 0.4, 1)
    hiss = band_noise(rng, count, 400, 2000, 12) * slow_curve(rng, count, 0.3, 0, 1) ** 3
    return rumble + rng.uniform(0.1, 0.8) * hiss


def wind(rng, seconds):
    count = int(seconds * RATE)
    centre = rng.uniform(150, 900)
    bands = [band_noise(rng, count, centre * r, centre * r * 1.3, 24) * slow_curve(rng, count, 1.5, 0, 1) ** 2 for r in (0.6, 1, 1.6)]
    return sum(bands) + 0.5 * coloured_noise(rng, count, -7) * slow_curve(rng, count, 0.8)


def drops(rng, seconds, rate_hz, low_hz, high_hz, decay_s, rise=0.0):
    """Poisson drops: short decaying tones, each rising by `rise` of its frequency (a bubble)."""
    t = seconds_axis(decay_s * 6)
    parts = []
    for start in poisson_times(rng, seconds, rate_hz):
        f = rng.uniform(low_hz, high_hz)
        tone = np.sin(2 * np.pi * f * (t + rise * t**2 / (2 * t[-1]))) * np.exp(-t / (decay_s * rng.uniform(0.5, 1.2)))
        parts.append((start, tone * rng.exponential(1)))
    return place(parts, seconds)


def rain(rng, seconds):
    bed = shaped_noise(rng, int(seconds * RATE), [20, 500, 3000, 8000], [-30, -10, rng.uniform(-4, 4), rng.uniform(-6, 3)])
    return bed * rng.uniform(0.2, 1) + drops(rng, seconds, rng.uniform(20, 120), 1500, 7000, 0.002)


def water(rng, seconds):
    bed = band_noise(rng, int(seconds * RATE), 300, 3000, 12) * slow_curve(rng, int(seconds * RATE), 4, 0.3, 1)
    return bed * rng.uniform(0, 0.5) + drops(rng, seconds, rng.uniform(10, 80), 350, 2600, rng.uniform(0.006, 0.02), rng.uniform(0, 1))


def clicks(rng, seconds, rate_hz, band_hz, decay_s):
    """Poisson clicks of filtered noise: keys, crackle, hail, paper."""
    bank = [band_noise(rng, int(RATE * decay_s * 6), *np.sort(rng.uniform(*band_hz, 2))) for _ in range(8)]
    shape = np.exp(-np.arange(len(bank[0])) / RATE / decay_s)
    return place([(s, bank[rng.integers(8)] * shape * rng.lognormal(0, 0.6)) for s in poisson_times(rng, seconds, rate_hz)], seconds)


def keyboard(rng, seconds):
    return clicks(rng, seconds, rng.uniform(3, 12), (600, 7000), rng.uniform(0.002, 0.012)) + 0.3 * clicks(rng, seconds, 6, (100, 600), 0.01)


def rustle(rng, seconds):
    count = int(seconds * RATE)
    return clicks(rng, seconds, rng.uniform(80, 300), (1000, 7500), rng.uniform(0.001, 0.004)) * slow_curve(rng, count, rng.uniform(1, 6), -0.5, 1).clip(0)


def applause(rng, seconds):
    return clicks(rng, seconds, rng.uniform(20, 250), (600, 3500), rng.uniform(0.004, 0.012))


def scrub(rng, seconds):
    """Noise in strokes at the rate of syllables: sawing, brushing, sweeping, a washing machine."""
    count = int(seconds * RATE)
    stroke = slow_curve(rng, count, rng.uniform(1, 10), -0.6, 1).clip(0) if rng.random() < 0.5 else np.abs(np.sin(np.pi * np.cumsum(rng.uniform(1, 5) * slow_curve(rng, count, 1, 0.8, 1.2)) / RATE)) ** rng.uniform(0.5, 3)
    return coloured_noise(rng, count, None, int(rng.integers(1, 5))) * stroke


def footsteps(rng, seconds):
    period, parts, at = rng.uniform(0.28, 0.7), [], 0.0
    heavy, bright = rng.uniform(0.2, 1), rng.uniform(0.1, 1)
    while at < seconds:
        thump = np.sin(2 * np.pi * rng.uniform(55, 110) * seconds_axis(0.15)) * envelope(2400, 0.003, 0.03) * heavy
        scuff = band_noise(rng, 2400, 500, 4000, 12) * envelope(2400, rng.uniform(0.002, 0.03), rng.uniform(0.01, 0.04)) * bright * 0.4
        parts.append((at, (thump + scuff) * rng.uniform(0.6, 1)))
        at += period * rng.uniform(0.92, 1.08)
    return place(parts, seconds)


def siren(rng, seconds):
    t = seconds_axis(seconds)
    rate, low = rng.uniform(0.15, 4), rng.uniform(400, 900)
    sweep = 0.5 + 0.5 * (np.sin(2 * np.pi * rate * t) if rng.random() < 0.6 else np.sign(np.sin(2 * np.pi * rate * t)))
    phase = 2 * np.pi * np.cumsum(low * (1 + rng.uniform(0.2, 1) * sweep)) / RATE
    return sum(np.sin(k * phase) * rng.uniform(0.1, 1) / k for k in range(1, 6))


def birds(rng, seconds):
    parts = []
    for start in poisson_times(rng, seconds, rng.uniform(0.5, 4)):
        t = seconds_axis(rng.uniform(0.04, 0.25))
        f = rng.uniform(1800, 5500) * (1 + rng.uniform(-0.3, 0.3) * t / t[-1] + rng.uniform(0, 0.1) * np.sin(2 * np.pi * rng.uniform(10, 50) * t))
        note = np.sin(2 * np.pi * np.cumsum(f) / RATE) * np.hanning(len(t)) * rng.uniform(0.3, 1)
        parts += [(start + i * len(t) / RATE * 1.3, note) for i in range(rng.integers(1, 6))]
    return place(parts, seconds) + 0.02 * plain_noise(rng, seconds)


def thunder(rng, seconds):
    count = int(seconds * RATE)
    parts = []
    for start in np.sort(rng.uniform(0, seconds * 0.7, rng.integers(1, 4))):
        length = int(rng.uniform(1.5, 6) * RATE)
        roll = shaped_noise(rng, length, [20, 80, 300, 2000, 8000], np.cumsum([0, 0, *-rng.uniform([0, 8, 5], [16, 30, 25])])) * slow_curve(rng, length, rng.uniform(3, 15)) ** 2 * envelope(length, rng.uniform(0.01, 0.4), rng.uniform(0.7, 2))
        crack = coloured_noise(rng, length, -3) * slow_curve(rng, length, 40) ** 3 * envelope(length, 0.005, 0.15) * rng.uniform(0, 1)
        parts.append((start, roll + crack))
    return place(parts, seconds) + rng.uniform(0, 0.05) * rain(rng, count / RATE)


def clatter(rng, seconds):
    """Dishes, cutlery, tools, weights put down: groups of struck bodies."""
    parts, at = [], 0.0
    bodies = [modes(rng, 0.9, rng.uniform(250, 2800), int(rng.integers(6, 18)), rng.uniform(0.02, 0.35), rng.uniform(0.3, 1)) for _ in range(5)]
    while at < seconds:
        for _ in range(rng.integers(1, 7)):
            knock = band_noise(rng, 480, 300, 6000, 12) * envelope(480, 0.001, 0.006) * rng.uniform(0.2, 1.5)
            parts += [(at, bodies[rng.integers(5)] * (level := rng.lognormal(-0.5, 0.8))), (at, knock * level)]
            at += rng.exponential(0.09)
        at += rng.exponential(rng.uniform(0.1, 1))
    return place(parts, seconds)


TEXTURES = [plain_noise, plain_noise, hum, motor, motor, traffic, wind, rain, water, keyboard, rustle, applause, scrub, scrub, footsteps, siren, birds, thunder, thunder, clatter, clatter, clatter]

# ---- events: one short thing ----


def slam(rng):
    low = sum(np.sin(2 * np.pi * rng.uniform(45, 240) * seconds_axis(0.8)) * envelope(12800, 0.002, rng.uniform(0.04, 0.15)) for _ in range(4))
    return low + rng.uniform(0.2, 1.5) * coloured_noise(rng, 12800, -4) * envelope(12800, 0.001, rng.uniform(0.01, 0.08))


def struck(rng):
    """One ring of metal, glass or wood; wood has short, few modes."""
    body = modes(rng, 1.8, rng.uniform(90, 2500), int(rng.integers(3, 20)), rng.choice([0.03, 0.1, 0.4, 1.0]), rng.uniform(0.3, 1.2))
    return body + rng.uniform(0, 2) * band_noise(rng, len(body), 400, 6000, 12) * envelope(len(body), 0.001, 0.008)


def weights(rng):
    """Gym plates: a thump, a clang and its bounces."""
    gaps = np.cumsum([0, *(rng.uniform(0.15, 0.35) * 0.6 ** np.arange(rng.integers(0, 4)))])
    plate = modes(rng, 1.2, rng.uniform(150, 700), 14, rng.uniform(0.08, 0.4), 0.8)
    return place([(g, plate * 0.5**i) for i, g in enumerate(gaps)] + [(g, slam(rng) * 0.6**i) for i, g in enumerate(gaps)], gaps[-1] + 1.2)


def bark(rng):
    parts, at = [], 0.0
    base = rng.uniform(180, 700)
    for _ in range(rng.integers(1, 5)):
        count = int(rng.uniform(0.08, 0.25) * RATE)
        glide = base * (1 + 0.6 * np.sin(np.pi * np.linspace(0.1, 1, count)))
        voice = pulses(glide, rng, 0.06) + rng.uniform(0.2, 0.8) * rng.standard_normal(count)
        parts.append((at, tract(voice, rng, rng.uniform(0.7, 1.4)) * envelope(count, 0.015, rng.uniform(0.04, 0.1))))
        at += count / RATE + rng.uniform(0.1, 0.5)
    return place(parts, at)


def beep(rng):
    t = seconds_axis(rng.uniform(0.05, 0.6))
    f, overtone = rng.uniform(350, 3500), rng.uniform(0, 0.8)
    tone = (np.sin(2 * np.pi * f * t) + overtone * np.sin(6 * np.pi * f * t)) * np.minimum(1, np.minimum(t, t[-1] - t) * 200)
    count, gap = int(rng.integers(1, 8)), rng.uniform(0.03, 0.5)
    return place([(i * (t[-1] + gap), tone) for i in range(count)], count * (t[-1] + gap))


def horn(rng):
    count = int(rng.uniform(0.2, 1.5) * RATE)
    tone = sum(pulses(np.full(count, f), rng, 0.002) for f in rng.uniform(250, 520) * np.array([1, 1.25]))
    return tone * np.minimum(1, np.minimum(np.arange(count), count - np.arange(count)) / 400)


def scrape(rng):
    """A chair over the floor, a squeaking shoe or hinge: stick and slip, voiced like a glide but without formant movement."""
    count = int(rng.uniform(0.15, 1.2) * RATE)
    base = rng.uniform(80, 1400) * slow_curve(rng, count, rng.uniform(2, 8), 0.75, 1.3)
    tone = pulses(base, rng, rng.uniform(0.01, 0.2)) + rng.uniform(0, 0.6) * rng.standard_normal(count)
    return resonator(tone, rng.uniform(300, 3500), rng.uniform(100, 900)) * slow_curve(rng, count, 8) * np.hanning(count) ** 0.3


def whoosh(rng):
    count = int(rng.uniform(0.15, 1) * RATE)
    return coloured_noise(rng, count, None, 3) * np.hanning(count) ** rng.uniform(0.5, 3)


def claps(rng):
    gap, count = rng.uniform(0.15, 0.6), int(rng.integers(1, 7))
    return place([(i * gap * rng.uniform(0.95, 1.05), band_noise(rng, 1600, 700, 3000, 14) * envelope(1600, 0.001, rng.uniform(0.006, 0.02)) * rng.uniform(0.6, 1)) for i in range(count)], count * gap + 0.2)


def bounce(rng):
    gap, at, parts = rng.uniform(0.25, 0.7), 0.0, []
    f = rng.uniform(70, 400)
    while gap > 0.04:
        parts.append((at, (np.sin(2 * np.pi * f * seconds_axis(0.1)) + 0.3 * rng.standard_normal(1600)) * envelope(1600, 0.002, 0.02) * gap))
        at, gap = at + gap, gap * 0.78
    return place(parts, at + 0.1)


EVENTS = [slam, slam, struck, struck, struck, weights, weights, bark, beep, beep, horn, scrape, scrape, whoosh, claps, bounce,
          *[lambda rng, make=make: make(rng, rng.uniform(0.4, 2.5)) for make in (clatter, clatter, keyboard, rustle, water, footsteps, scrub)]]
