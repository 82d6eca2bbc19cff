"""When a scene's repetitions happen: tempo, pauses, fatigue, rests, and the labels that follow from them."""

from dataclasses import dataclass

import numpy as np

DONE = 0.06  # a repetition is complete when this little of the way back is left


def smooth_noise(rng, n, knot_frames, shape=()):
    """Random curves (n, *shape) of about unit size that turn once per knot_frames."""
    knots = rng.normal(0, 1, (int(n / knot_frames) + 3, *shape))
    at = np.arange(n) / knot_frames
    i = at.astype(int)
    f = (at - i).reshape((-1,) + (1,) * len(shape))
    f = f * f * (3 - 2 * f)
    return knots[i] * (1 - f) + knots[i + 1] * f


def ease(kind, s):
    """Progress 0..1 of a movement at its time share s 0..1."""
    if kind == 0:
        return 0.5 - 0.5 * np.cos(np.pi * s)
    if kind == 1:
        return s**3 * (10 - 15 * s + 6 * s * s)
    return 0.75 * s + 0.25 * (0.5 - 0.5 * np.cos(np.pi * s))


def done_share(kind):
    """Share of the way back's time after which less than DONE of it is left."""
    s = np.linspace(0, 1, 201)
    return float(s[np.searchsorted(ease(kind, s), 1 - DONE)])


@dataclass
class Timeline:
    """Per frame (n): u and side for `Motion.pose`, present (1 in the exercise's posture, 0 idle), active, phase and period in
    seconds; rep_end_s lists the completions."""

    u: np.ndarray
    side: np.ndarray
    present: np.ndarray
    active: np.ndarray
    phase: np.ndarray
    period_s: np.ndarray
    rep_end_s: list


def draw_timeline(rng, n, fps, motion, reps=None, lead_s=None, period_s=None):
    """Plans n frames; reps, lead_s and period_s are random unless given."""
    seconds = n / fps
    fast, slow = motion.seconds
    period = period_s or float(np.exp(rng.uniform(np.log(fast), np.log(slow))))
    down = rng.uniform(0.32, 0.6)
    hold = rng.uniform(0.02, 0.3) if rng.random() < 0.25 else rng.uniform(0, 0.05)
    rest = rng.uniform(0.1, 0.5) if rng.random() < 0.35 else rng.uniform(0.0, 0.08)
    if motion.ballistic and rng.random() < 0.8:
        hold, rest, down = 0.0, rng.uniform(0, 0.06), rng.uniform(0.45, 0.55)
    spread = rng.uniform(0.02, 0.18) if rng.random() < 0.8 else rng.uniform(0.2, 0.4)
    fatigue = rng.uniform(-0.01, 0.05)
    ways = (0, 0) if motion.ballistic else tuple(rng.integers(0, 3, 2))

    planned = reps is not None
    if planned:
        spread, fatigue = 0.08, 0.01
    else:
        fits = max(1, int(seconds / period) + 1)
        reps = 0 if rng.random() < 0.04 else int(rng.integers(1, min(fits, 14) + 1)) if rng.random() < 0.55 else fits
    start = rng.uniform(-0.95, 0.0) * period if rng.random() < 0.3 else rng.uniform(0.2, max(0.5, min(6.0, 0.45 * seconds)))
    if lead_s is not None:
        start = lead_s

    u, side = np.zeros(n), np.zeros(n, int)
    active, phase, periods = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    frames = np.arange(n) / fps
    ends, clock, rests = [], start, []
    leg = int(rng.integers(2))
    for k in range(reps):
        length = max(0.45, period * (1 + fatigue * k) * float(np.exp(rng.normal(0, spread))))
        depth = 1.0 if rng.random() < 0.7 else rng.uniform(0.75, 1.05)
        halves = 2 if motion.pairs else 1
        rep_start = clock
        pause = rest if planned or rng.random() < 0.85 else rest + rng.uniform(0.0, 0.8)
        for _ in range(halves):
            span = length / halves
            moving = span / (1 + hold + rest)
            a, b = clock + down * moving, clock + down * moving + hold * moving
            c = b + (1 - down) * moving
            for lo, hi, kind, way in ((clock, a, ways[0], 0), (a, b, 0, 1), (b, c, ways[1], 2)):
                i = np.nonzero((frames >= lo) & (frames < hi))[0]
                s = (frames[i] - lo) / max(hi - lo, 1e-6)
                e = ease(kind, s)
                u[i] = depth * (e if way == 0 else 1.0 if way == 1 else 1 - e)
            side[(frames >= clock) & (frames < c + 1e-6)] = leg
            far, clock = b, c
            if motion.alternates or motion.pairs:
                leg = 1 - leg
        end = b + (c - b) * done_share(ways[1])
        inside = (frames >= rep_start) & (frames < end)
        phase[inside] = (frames[inside] - rep_start) / (end - rep_start)
        clock = c + pause * (c - rep_start)
        around = (frames >= rep_start) & (frames < clock)
        periods[around] = clock - rep_start
        active[around] = 1.0
        if 0 < end < seconds and far > 0.0:
            ends.append(float(end))
        if not planned and rng.random() < 0.03 and k + 1 < reps:  # a breather between repetitions
            gap = rng.uniform(1.2, 5.0)
            rests.append((clock, clock + gap))
            clock += gap
        if clock > seconds:
            break

    present = _presence(rng, frames, start, clock, rests, motion.low)
    return Timeline(u, side, present, active, phase, periods, ends)


def _presence(rng, frames, start, end, rests, low):
    """1 in the exercise's posture and 0 idle, with the time it takes to get down and up."""
    take = rng.uniform(1.2, 3.0) if low else rng.uniform(0.4, 1.3)
    before = rng.uniform(0.0, 1.5)
    stays = rng.random() < 0.4
    present = np.clip((frames - (start - before - take)) / take, 0, 1)
    if not stays:
        after = rng.uniform(0.2, 1.0)
        present = np.minimum(present, np.clip((end + after + take - frames) / take, 0, 1))
    for lo, hi in rests:
        if hi - lo > 2 * take + 0.3 and rng.random() < 0.6:
            dip = np.clip(np.minimum(frames - lo, hi - frames) / take, 0, 1)
            present = np.minimum(present, 1 - dip)
    return present * present * (3 - 2 * present)
