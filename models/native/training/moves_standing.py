"""Movements on the feet or on a bench: squats, lunges, jacks, arm exercises, knee raises, hinges, rows."""

import numpy as np

from figures import HAND, NECK, SHOULDER, Pose, swing, unit, vec
from moves import DOWN, Motion, X, Y, arm_style, barbell, dumbbells, fixed, mix, stand_legs


def squat(rng, b):
    width, splay = rng.uniform(0.07, 0.2), rng.uniform(0.05, 0.6)
    deep = mix(0.45, 0.16, rng.random() ** 0.6) if rng.random() < 0.8 else rng.uniform(0.33, 0.43)
    back, lean, nod = rng.uniform(0.1, 0.22), rng.uniform(0.35, 1.0), rng.uniform(-0.7, 0.0)
    arms, props = arm_style(rng, b)
    hop = rng.uniform(0.05, 0.14) if rng.random() < 0.08 else 0.0
    top = b.hip_z + 0.02 - 0.012 * rng.random()

    def pose(u, side):
        p = Pose(b, len(u))
        top_now = np.sqrt(np.maximum((b.leg[0] + b.leg[1]) ** 2 - (width - b.hip_half) ** 2, 0.01)) + b.ankle_z + 0.018
        high = min(top, top_now)
        drop = mix(high, min(deep, high - 0.06), u)
        p.trunk(vec(p.n, -back * np.sin(u * 1.6), 0, drop), lean * u, lean * u * 0.9, nod=nod * u)
        stand_legs(p, width, splay, 0.25 + splay)
        arms(p, u)
        if hop:
            p.joints[:, :, 2] += (hop * np.clip(0.25 - u, 0, 1) * 4 * np.clip(u * 12, 0, 1))[:, None]
        return p.joints

    return Motion(pose, props=props, seconds=(1.0, 5.5))


def lunge(rng, b):
    kind = rng.choice(["forward", "reverse", "split", "side", "curtsy"], p=[0.35, 0.25, 0.15, 0.1, 0.15])
    stride, deep = rng.uniform(0.3, 0.46), rng.uniform(0.0, 0.1)
    lean, hold_side = rng.uniform(-0.02, 0.4), int(rng.random() < 0.5)
    alternates = kind != "split" and rng.random() < 0.65
    arms, props = arm_style(rng, b)
    gap = rng.uniform(0.05, 0.08)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        side = side if alternates else np.full(n, hold_side)
        step = np.ones(n) if kind == "split" else np.clip(u / 0.65, 0, 1)
        step = step * step * (3 - 2 * step)
        lift = 0.0 if kind == "split" else 0.10 * np.sin(np.pi * np.clip(u / 0.65, 0, 1))
        sink = u if kind == "split" else np.clip((u - 0.25) / 0.75, 0, 1)
        out = np.where(side == 0, 1.0, -1.0)
        reach_x = {"forward": stride, "reverse": -stride, "split": stride, "side": 0.0, "curtsy": -stride * 0.75}[kind]
        reach_y = {"side": stride * 0.9, "curtsy": -0.22}.get(kind, 0.0)
        share = 0.75 if kind == "side" else 0.5
        tall = b.hip_z + 0.018
        low = 0.04 + b.leg[0] * 1.12 + deep if kind != "side" else 0.30 + deep
        spread = np.sqrt(max((b.leg[0] + b.leg[1]) ** 2 - (stride * 0.5) ** 2, 0.02)) + b.ankle_z if kind == "split" else tall
        z = mix(min(tall, spread), low, sink)
        p.trunk(vec(n, reach_x * step * share, reach_y * step * share * out, z), lean * u, nod=-0.3 * lean * u, twist=0.0)
        for leg in (0, 1):
            moving = (side == leg).astype(float)
            base_y = gap * (1 if leg == 0 else -1)
            x = reach_x * step * moving
            y = base_y + reach_y * step * moving * out
            behind = np.where(reach_x < 0, moving, 1 - moving) * (0.0 if kind == "side" else 1.0) * step
            ankle = vec(n, x, y, b.ankle_z + lift * moving + 0.05 * behind * np.abs(reach_x) / 0.4)
            toe = vec(n, 1, 0, -0.18 - 1.1 * behind * sink)
            p.leg_to(leg, ankle, vec(n, 1, 0.4 * out * moving * (kind == "side"), -0.9 * behind), toe)
        arms(p, u)
        return p.joints

    return Motion(pose, props=props, alternates=alternates, seconds=(1.3, 5.0))


def jack(rng, b):
    wide, arm_top = rng.uniform(0.18, 0.34), rng.uniform(1.5, 3.0) if rng.random() < 0.3 else rng.uniform(2.6, 3.05)
    hop, bend, close = rng.uniform(0.0, 0.06), rng.uniform(0.05, 0.5), rng.uniform(0.03, 0.07)
    stepping = rng.random() < 0.15

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        gap = mix(close, wide, u)
        stand = np.sqrt(np.maximum((b.leg[0] + b.leg[1]) ** 2 - (gap - b.hip_half) ** 2, 0.05)) * 0.985 + b.ankle_z + 0.02
        air = hop * np.sin(np.pi * u) * (not stepping)
        p.trunk(vec(n, 0, 0, stand + air), 0.04, roll=0.0, shrug=u)
        for s, out in ((0, 1.0), (1, -1.0)):
            foot = gap if not stepping else np.where(side == s, gap, close)
            p.leg_to(s, vec(n, 0, out * foot, b.ankle_z + air), vec(n, 1, 0.2 * out, 0), vec(n, 1, 0.4 * out, -0.2))
            a = mix(0.15, arm_top, u)
            p.arm_along(s, swing((0.08, 0, -1), (0, 1, 0), a), swing((0.15, 0, -1), (0, 1, 0), a + bend * np.sin(a)))
        return p.joints

    return Motion(pose, ballistic=True, alternates=stepping, seconds=(0.7, 2.2))


def standing(rng, b, seated=False):
    """A relaxed upright base for arm exercises: a function (n, lean) -> Pose with the legs in place."""
    width, splay, knees = rng.uniform(0.05, 0.13), rng.uniform(0.05, 0.4), rng.uniform(0.0, 0.03)

    def base(n, lean=0.0, shrug=0.0, twist=0.0):
        p = Pose(b, n)
        if seated:
            p.trunk(vec(n, 0, 0, 0.30), lean - 0.05, shrug=shrug, twist=twist)
            for s, out in ((0, 1.0), (1, -1.0)):
                p.leg_to(s, vec(n, 0.25, out * (width + 0.04), b.ankle_z), vec(n, 1, 0.2 * out, 1), vec(n, 1, 0.2 * out, -0.15))
        else:
            p.trunk(vec(n, 0, 0, b.hip_z + 0.018 - knees), lean, shrug=shrug, twist=twist)
            stand_legs(p, width, splay)
        return p

    grey = rng.uniform(20, 160)
    bench = [fixed((-0.08, -0.08, 0.19), (0.05, -0.08, 0.19), 0.05, grey), fixed((-0.08, 0.08, 0.19), (0.05, 0.08, 0.19), 0.05, grey),
             fixed((0.0, 0.0, 0.15), (0.0, 0.0, 0.02), 0.03, grey * 0.6)]
    return base, bench if seated else []


def curl(rng, b):
    base, bench = standing(rng, b, rng.random() < 0.15)
    alternates = rng.random() < 0.3
    only = int(rng.integers(2)) if rng.random() < 0.15 else -1
    top, low, out, drift = rng.uniform(2.0, 2.6), rng.uniform(0.05, 0.45), rng.uniform(0.05, 0.3), rng.uniform(0, 0.5)
    cheat, inward, raised = rng.uniform(0, 0.12), rng.uniform(-0.3, 0.15), 1.2 if rng.random() < 0.08 else 0.0
    props = barbell(rng) if rng.random() < 0.3 and not alternates and only < 0 else dumbbells(rng) if rng.random() < 0.9 else []

    def pose(u, side):
        n = len(u)
        p = base(n, lean=-cheat * np.sin(np.pi * u))
        for s in (0, 1):
            w = u * (side == s) if alternates else u * (only in (-1, s))
            a = mix(low, top, w)
            e = raised + drift * w - 0.05
            p.arm_along(s, swing((0, out, -1), X, e), swing((0, out * 0.6, -1), X + inward * Y, a + e))
        return p.joints

    return Motion(pose, props=props + bench, upper=True, alternates=alternates, seconds=(1.0, 5.0))


def press(rng, b):
    base, bench = standing(rng, b, rng.random() < 0.25)
    alternates = rng.random() < 0.15
    wide, front, top_in = rng.uniform(0.08, 0.2), rng.uniform(-0.05, 0.12), rng.uniform(-0.08, 0.08)
    props = barbell(rng) if rng.random() < 0.4 and not alternates else dumbbells(rng) if rng.random() < 0.85 else []

    def pose(u, side):
        n = len(u)
        p = base(n, lean=-0.06, shrug=u)
        for s in (0, 1):
            w = u * (side == s) if alternates else u
            start = p.joints[:, SHOULDER + s] + p.from_chest(s, (0.05 + front * 0.5, wide * 0.7, 0.04))
            reach = b.reach * 0.985
            end = p.joints[:, SHOULDER + s] + unit(p.from_chest(s, (front * 0.2, top_in * 2, 1.0))) * reach
            bow = np.sin(np.pi * w)[:, None] * p.from_chest(s, (0.02, 0.05, 0))
            p.arm_to(s, mix(start, end, w[:, None]) + bow, p.from_chest(s, (0.3, 0.9, -1)), p.chest[2])
        return p.joints

    return Motion(pose, props=props + bench, upper=True, alternates=alternates, seconds=(1.0, 5.0))


def raise_arms(rng, b, plane=None):
    base, bench = standing(rng, b, rng.random() < 0.1)
    plane = plane if plane is not None else (rng.uniform(0.0, 0.35), 1.0)
    alternates = plane[0] > plane[1] and rng.random() < 0.4
    top, low, bend, cheat = rng.uniform(1.25, 1.75), rng.uniform(0.05, 0.25), rng.uniform(0, 0.5), rng.uniform(0, 0.08)
    props = dumbbells(rng) if rng.random() < 0.85 else []
    e = np.array([plane[0], plane[1], 0.0])
    e /= np.linalg.norm(e)

    def pose(u, side):
        p = base(len(u), lean=-cheat * u, shrug=u * 0.5)
        for s in (0, 1):
            w = u * (side == s) if alternates else u
            a = mix(low, top, w)
            p.arm_along(s, swing((0.05, 0.05, -1), e, a), swing((0.05 + bend * 0.5, 0.05, -1), e + bend * X * 0.6, a))
        return p.joints

    return Motion(pose, props=props + bench, upper=True, alternates=alternates, seconds=(1.0, 4.5))


def front_raise(rng, b):
    return raise_arms(rng, b, (1.0, rng.uniform(-0.1, 0.25)))


def knee_raise(rng, b):
    top, bend = rng.uniform(1.1, 2.0), rng.uniform(1.3, 2.2)
    hop, lean = rng.uniform(0, 0.05), rng.uniform(-0.15, 0.1)
    arms, props = arm_style(rng, b)
    pump = rng.random() < 0.5
    same = rng.random() < 0.15

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        air = hop * np.sin(np.pi * u)
        p.trunk(vec(n, 0, 0, b.hip_z + 0.016 + air), lean * u)
        for s, out in ((0, 1.0), (1, -1.0)):
            w = u * ((side == s) if not same else float(s == 0))
            t, k = top * w, bend * np.clip(w * 1.4, 0, 1)
            y = 0.05 * out
            lifted = vec(n, np.sin(t), y, -np.cos(t)), vec(n, np.sin(t - k), y * 0.5, -np.cos(t - k))
            p.leg_along(s, lifted[0], lifted[1], vec(n, np.cos(t - k), 0, np.sin(t - k) - 0.2))
            if pump:
                a = mix(-0.4, 0.7, u * (side != s))
                p.arm_along(s, swing((0, 0.15, -1), X, a), swing((0, 0, -1), X, a + 1.4))
        if not pump:
            arms(p, u * 0.3)
        return p.joints

    return Motion(pose, props=props if not pump else [], alternates=not same, ballistic=True, seconds=(0.55, 2.5))


def hinge(rng, b):
    """Deadlift, good morning and kettlebell swing."""
    lean, bend, width = rng.uniform(0.9, 1.5), rng.uniform(0.02, 0.2), rng.uniform(0.06, 0.16)
    style = rng.choice(["bar", "bells", "swing", "none"])
    props = barbell(rng) if style == "bar" else dumbbells(rng) if style == "bells" else []
    if style == "swing":
        props = [lambda j: (j[:, HAND] + 0.05 * unit(j[:, HAND] - j[:, SHOULDER]), j[:, HAND + 1] + 0.06 * unit(j[:, HAND] - j[:, SHOULDER]), 0.05, 30.0)]

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        p.trunk(vec(n, -0.16 * u, 0, b.hip_z + 0.01 - bend * u), lean * u, lean * u * 1.05, nod=-0.5 * u)
        stand_legs(p, width, 0.2)
        for s, out in ((0, 1.0), (1, -1.0)):
            if style == "none":
                p.arm_to(s, p.joints[:, NECK] + p.from_chest(s, (0.02, 0.1, 0.06)), p.from_chest(s, (-0.2, 1, -0.6)), p.chest[2])
                continue
            a = mix(1.4, -0.2, u) if style == "swing" else np.zeros(n)
            d = vec(n, np.sin(a), 0.02 * out if style != "swing" else -0.15 * out, -np.cos(a))
            p.arm_to(s, p.joints[:, SHOULDER + s] + unit(d) * b.reach * 0.99, vec(n, -1, out, 0), d)
        return p.joints

    return Motion(pose, props=props, seconds=(1.1, 4.5))


def row(rng, b):
    """Bent over, the elbows are drawn up behind the back."""
    lean, bend, wide = rng.uniform(0.7, 1.35), rng.uniform(0.03, 0.15), rng.uniform(0.0, 0.12)
    alternates = rng.random() < 0.15
    props = barbell(rng) if rng.random() < 0.4 and not alternates else dumbbells(rng)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        p.trunk(vec(n, -0.14, 0, b.hip_z + 0.01 - bend), lean - 0.1 * u, nod=-0.5)
        stand_legs(p, 0.09, 0.2)
        for s, out in ((0, 1.0), (1, -1.0)):
            w = (u * (side == s) if alternates else u)[:, None]
            hang = p.joints[:, SHOULDER + s] + vec(n, 0, 0.02 * out, -b.reach * 0.985)
            ribs = p.joints[:, SHOULDER + s] + p.from_chest(s, (0.05, 0.02 + wide, -0.16))
            p.arm_to(s, mix(hang, ribs, w), vec(n, -0.6, out * (0.2 + 4 * wide), 1), DOWN)
        return p.joints

    return Motion(pose, props=props, alternates=alternates, seconds=(0.9, 4.0))
