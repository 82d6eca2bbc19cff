"""The exercises: each family draws its own style once and then poses the figure for any place in the movement.

`pose(u, side)` takes u (n) from 0 (start posture) to 1 (far posture) and side (n) in {0, 1} for movements that alternate,
and gives joints (n, 20, 3). Feet, hands and knees that rest on something stay where they are.
"""

from dataclasses import dataclass, field

import numpy as np

from figures import ANKLE, ELBOW, HAND, HIP, KNEE, NECK, SHOULDER, TOE, WRIST, Pose, swing, unit, vec

X, Y, Z = np.eye(3)
DOWN = -Z


@dataclass
class Motion:
    """One style of one family. `low` is whether it starts on the floor, `seconds` the range of a repetition's length,
    `pairs` whether both sides make one repetition,
    `upper` whether only the arms move, `props` bars, weights and boxes as functions of the joints giving (end, end, radius, grey)."""

    pose: callable
    low: bool = False
    seconds: tuple = (1.0, 5.0)
    alternates: bool = False
    ballistic: bool = False
    pairs: bool = False
    upper: bool = False
    props: list = field(default_factory=list)


def mix(a, b, u):
    return a + (b - a) * u


def stand_legs(p, width, splay, knee_out=0.3):
    """Plants both feet on the floor, width apart, toes turned out by splay."""
    for side, out in ((0, 1), (1, -1)):
        toe = vec(p.n, np.cos(splay), out * np.sin(splay), -0.18)
        p.leg_to(side, vec(p.n, 0, out * width, p.body.ankle_z), vec(p.n, 1, out * knee_out, 0), toe)


def dumbbells(rng):
    size, grey = rng.uniform(0.02, 0.038), rng.uniform(15, 90)
    along = rng.random() < 0.5

    def prop(side):
        def ends(j):
            grip = j[:, WRIST + side] * 0.3 + j[:, HAND + side] * 0.7
            fore = unit(j[:, HAND + side] - j[:, ELBOW + side])
            across = unit(np.cross(fore, X if along else Y) + 1e-4)
            return grip - across * 0.06, grip + across * 0.06, size, grey

        return ends

    return [prop(0), prop(1)]


def barbell(rng, behind=False):
    """A bar through both hands (or over the shoulders) with a disc at each end, as fat short cones."""
    disc, half, grey = rng.choice([0.0, 0.05, 0.09, 0.13]), rng.uniform(0.32, 0.5), rng.uniform(15, 80)

    def centre(j):
        if behind:
            middle = j[:, NECK] - unit(np.cross(j[:, SHOULDER] - j[:, SHOULDER + 1], Z)) * -0.03
            return middle, unit(j[:, SHOULDER] - j[:, SHOULDER + 1])
        return (j[:, HAND] + j[:, HAND + 1]) / 2, unit(j[:, HAND] - j[:, HAND + 1] + 1e-6)

    def bar(j):
        c, e = centre(j)
        return c - e * half, c + e * half, 0.011, grey + 60

    def plate(sign):
        def ends(j):
            c, e = centre(j)
            return c + e * (sign * half), c + e * (sign * (half - 0.03)), disc, grey

        return ends

    return [bar] if disc == 0 else [bar, plate(1), plate(-1)]


def fixed(a, b, radius, grey):
    """A prop that does not move: a bar, a post, a bench."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return lambda j: (np.broadcast_to(a, (len(j), 3)), np.broadcast_to(b, (len(j), 3)), radius, grey)


def arm_style(rng, body):
    """An arm position that legs-only exercises hold or move through: a function (pose, u) and its props."""
    kind = rng.choice(["forward", "hips", "crossed", "hang", "goblet", "bar", "raise", "head", "held", "pump"])
    props = []
    if kind == "goblet":
        props = [lambda j: (j[:, HAND] + 0.03 * X, j[:, HAND + 1] + 0.03 * X, 0.045, 40.0)]
    elif kind == "bar":
        props = barbell(rng, behind=True)
    elif kind == "hang" and rng.random() < 0.6:
        props = dumbbells(rng)
    droop, spread = rng.uniform(-0.3, 0.4), rng.uniform(0.05, 0.35)

    def arms(p, u):
        n = p.n
        for side in (0, 1):
            if kind in ("forward", "held"):
                lift = np.full(n, 1.5) if kind == "held" else mix(0.15, 1.5, u)
                d = swing((0.05, spread * 0.5, -1), (1, 0, 0), lift)
                p.arm_along(side, d, d + 0.05)
            elif kind == "raise":
                d = swing((0.05, spread, -1), (1, 0, 0), mix(2.7, 0.6, u))
                p.arm_along(side, d, d)
            elif kind == "hips":
                p.arm_to(side, p.joints[:, HIP + side] + p.from_chest(side, (0.03, 0.06, 0.05)), p.from_chest(side, (-0.4, 1, 0)), -p.chest[2])
            elif kind in ("crossed", "goblet"):
                hold = 0.02 if kind == "goblet" else -0.05
                p.arm_to(side, p.joints[:, NECK] + p.from_chest(side, (0.14, hold, -0.09)), p.from_chest(side, (0.1, 0.6, -1)), p.from_chest(side, (0.3, -0.6, 0.4)))
            elif kind in ("bar", "head"):
                out = 0.2 if kind == "bar" else 0.09
                p.arm_to(side, p.joints[:, NECK] + p.from_chest(side, (0.0, out, 0.02 if kind == "bar" else 0.09)), p.from_chest(side, (-0.2, 1, -0.8)), p.chest[2])
            elif kind == "pump":
                d = swing((-0.2, 0.2, -1), (1, 0, 0), mix(0.0, 0.8, u))
                p.arm_along(side, d, swing(DOWN, X, mix(0.6, 2.2, u)))
            else:
                p.arm_along(side, (droop * 0.2, spread, -1), (0.12, spread * 0.5, -1))

    return arms, props


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


def pushup(rng, b):
    knees = rng.random() < 0.15
    incline = rng.uniform(0.1, 0.35) if rng.random() < 0.12 else 0.0
    wide = b.shoulder_half + rng.uniform(-0.02, 0.13)
    ahead = rng.uniform(-0.04, 0.06)
    high = incline + np.sqrt(max(b.reach**2 - (wide - b.shoulder_half) ** 2 - ahead**2, 0.03)) * rng.uniform(0.96, 0.995) + 0.03
    low = incline + (rng.uniform(0.075, 0.14) if rng.random() < 0.75 else rng.uniform(0.14, 0.22))
    sag, pike = rng.normal(0, 0.015), max(0.0, rng.normal(0.0, 0.03))
    nod, flare = rng.uniform(-0.75, 0.15), rng.uniform(0.1, 1.0)
    trunk = sum(b.trunk)
    shank = b.leg[0] if knees else (b.leg[0] + b.leg[1]) * 0.998
    body = trunk + shank - 0.02
    foot_z = 0.045 if knees else rng.uniform(0.08, 0.11)
    feet = rng.uniform(0.02, 0.14)
    foot_x = -ahead - np.sqrt(max(body**2 - (high - foot_z) ** 2, 0.1))
    hand_dir = rng.uniform(-0.2, 0.6)
    worm = rng.normal(0, 0.05) if rng.random() < 0.3 else 0.0

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        z = mix(high, low, u)
        x = foot_x + np.sqrt(np.maximum(body**2 - (z - foot_z) ** 2, 0.05))
        top, foot = vec(n, x, 0, z), vec(n, foot_x, 0, foot_z)
        line = unit(top - foot)
        over = np.stack([-line[:, 2], np.zeros(n), line[:, 0]], 1)
        hips = foot + line * (shank - 0.01) + over * (sag + pike + worm * np.sin(np.pi * u))[:, None]
        back = unit(top - hips)
        pitch = np.arctan2(back[:, 0], back[:, 2])
        p.trunk(hips, pitch, pitch + 0.04, nod=nod)
        for s, out in ((0, 1.0), (1, -1.0)):
            if knees:
                knee = vec(n, foot_x, out * (feet + 0.03), foot_z)
                j = p.joints
                thigh = unit(knee - j[:, HIP + s])
                p.leg_along(s, thigh, vec(n, -0.75, 0, 0.65), vec(n, -0.6, 0, 0.7))
            else:
                p.leg_to(s, vec(n, foot_x, out * feet, foot_z), vec(n, 0.2, 0.1 * out, -1), vec(n, 0.35, 0, -1.0))
            wrist = vec(n, 0.0, out * wide, incline + 0.025)
            p.arm_to(s, wrist, vec(n, -1.0, out * (0.15 + flare), 0.25), vec(n, 1, -hand_dir * out, -0.12))
        return p.joints

    props = []
    if incline:
        grey = rng.uniform(30, 200)
        props = [fixed((0.02, y, incline - 0.04 - k * 0.07), (0.14, y * 1.0 + 0.01, incline - 0.04 - k * 0.07), 0.05, grey)
                 for y in (-0.3, -0.1, 0.1, 0.3) for k in range(max(1, int(incline / 0.08)))]
    return Motion(pose, low=not incline, props=props, seconds=(0.8, 5.0))


def situp(rng, b):
    top = rng.uniform(0.0, 0.65) if rng.random() < 0.75 else rng.uniform(-0.75, -0.3)
    bend = rng.uniform(0.22, 0.36) if rng.random() < 0.8 else 0.47
    curl, apart = rng.uniform(0.1, 0.5), rng.uniform(0.03, 0.12)
    style = rng.choice(["head", "chest", "reach", "overhead"])
    vee = rng.random() < 0.12
    flat = -1.5 + rng.uniform(-0.02, 0.12)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        first, second = np.clip(u * 1.5, 0, 1), np.clip(u * 1.15 - 0.15, 0, 1)
        lower = mix(flat, top - 0.25, second)
        chest = mix(flat, top + 0.1, first * 0.35 + second * 0.65)
        p.trunk(vec(n, 0, 0, 0.075 * b.girth**0.5), lower, chest, nod=mix(0.05, curl, first))
        for s, out in ((0, 1.0), (1, -1.0)):
            if vee:
                p.leg_along(s, swing(X + 0.1 * out * Y, Z, 0.05 + 0.8 * u), swing(X, Z, 0.05 + 0.8 * u), vec(n, 0.5, 0, 1))
            else:
                p.leg_to(s, vec(n, bend * (0.9 if bend < 0.4 else 1.0), out * apart, b.ankle_z + 0.01), vec(n, 0.3, out * 0.15, 1), vec(n, 1, 0.1 * out, -0.1))
            if style == "head":
                p.arm_to(s, p.joints[:, NECK] + p.from_chest(s, (-0.01, 0.06, 0.09)), p.from_chest(s, (0.15, 1, 0.4)), p.from_chest(s, (0, -1, 0.2)))
            elif style == "chest":
                p.arm_to(s, p.joints[:, NECK] + p.from_chest(s, (0.09, -0.06, -0.05)), p.from_chest(s, (0.2, 0.5, -1)), p.from_chest(s, (0, -1, 0.5)))
            elif style == "reach":
                d = unit(p.joints[:, KNEE + s] + 0.05 * Z - p.joints[:, SHOULDER + s])
                p.arm_to(s, p.joints[:, SHOULDER + s] + d * b.reach * 0.97, vec(n, 0, out, -0.5), d)
            else:
                d = swing((0, 0.15, 1), (1, 0, 0), mix(0.1, 1.2, u))
                p.arm_along(s, d, d)
        return p.joints

    return Motion(pose, low=True, seconds=(1.2, 5.0))


def pullup(rng, b):
    wide = b.shoulder_half + rng.uniform(-0.03, 0.2)
    bar = 1.0 * rng.uniform(1.15, 1.4)
    chin = rng.uniform(0.02, 0.12)
    lean, arch = rng.uniform(0.0, 0.25), rng.uniform(0.0, 0.45)
    legs = rng.choice(["straight", "bent", "crossed", "kip"], p=[0.35, 0.3, 0.2, 0.15])
    swing_x = rng.uniform(0.05, 0.18) if legs == "kip" else rng.uniform(0, 0.03)
    knee = {"straight": rng.uniform(0.0, 0.25), "bent": rng.uniform(0.9, 1.7), "crossed": rng.uniform(0.5, 1.3), "kip": 0.3}[legs]
    thigh = rng.uniform(-0.1, 0.3) if legs != "bent" else rng.uniform(0.0, 0.9)
    hang = np.sqrt(max(b.reach**2 - (wide - b.shoulder_half) ** 2, 0.05)) * 0.985
    trunk = sum(b.trunk)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        z = mix(bar - hang, bar - chin, u)
        fore = -0.02 - (0.05 + 0.4 * lean * u) * 0.3 + swing_x * np.sin(2 * np.pi * u) * 0.4
        pitch = -lean * u - arch * 0.3 * np.sin(np.pi * u) + swing_x * np.cos(np.pi * u)
        up = np.stack([np.sin(pitch), np.zeros(n), np.cos(pitch)], 1)
        top = vec(n, fore, 0, z + 0.02)
        p.trunk(top - up * trunk, pitch, pitch, nod=-0.25 * u - 0.1, shrug=mix(0.8, -0.2, u))
        for s, out in ((0, 1.0), (1, -1.0)):
            wave = (0.9 * swing_x / 0.1 * np.sin(np.pi * u) * 0.6) if legs == "kip" else 0.12 * np.sin(np.pi * u)
            t = thigh + wave
            k = knee + (0.3 * s if legs == "crossed" else 0.0) + 0.1 * u
            p.leg_along(s, vec(n, np.sin(t), 0.06 * out, -np.cos(t)), vec(n, np.sin(t - k), (-0.12 if legs == "crossed" else 0.02) * out, -np.cos(t - k)), vec(n, np.cos(t - k) * 0.5 + 0.2, 0, -0.8))
            p.arm_to(s, vec(n, 0, out * wide, bar - 0.005), vec(n, -0.35 + 0.4 * arch, out * (0.5 + 0.4 * wide), -0.4), Z + 0.2 * X)
        return p.joints

    grey, thick, long = rng.uniform(10, 140), rng.uniform(0.012, 0.025), rng.uniform(0.45, 0.9)
    props = [fixed((0.01, -long, bar), (0.01, long, bar), thick, grey)]
    if rng.random() < 0.55:
        props += [fixed((0.01, s * long, 0), (0.01, s * long, bar + rng.uniform(0, 0.3)), thick * 1.6, grey) for s in (1, -1)]
        if rng.random() < 0.5:
            props += [fixed((-0.7, s * long, 0), (-0.7, s * long, bar), thick * 1.6, grey) for s in (1, -1)]
    return Motion(pose, props=props, seconds=(1.2, 5.5))


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


def bridge(rng, b):
    top, apart, reach = rng.uniform(0.16, 0.26), rng.uniform(0.04, 0.1), rng.uniform(0.22, 0.32)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        z = mix(0.07, top, u)
        pitch = -1.5 - np.arcsin(np.clip((z - 0.07) / sum(b.trunk), 0, 0.9)) * 1.0
        p.trunk(vec(n, 0, 0, z), pitch, pitch, nod=0.3 * u)
        for s, out in ((0, 1.0), (1, -1.0)):
            p.leg_to(s, vec(n, reach, out * apart, b.ankle_z), vec(n, 0.4, 0.1 * out, 1), vec(n, 1, 0, -0.1))
            wrist = vec(n, -0.06, out * (b.shoulder_half + 0.06), 0.03)
            p.arm_to(s, wrist, vec(n, -0.2, out, -0.1), X)
        return p.joints

    return Motion(pose, low=True, seconds=(1.0, 4.0))


def climber(rng, b):
    """Mountain climber: one knee is drawn in and goes back, then the other; the pair is one repetition."""
    high = b.reach * 0.985 + 0.03
    trunk, shank = sum(b.trunk), (b.leg[0] + b.leg[1]) * 0.99
    foot_x = -np.sqrt((trunk + shank) ** 2 - (high - 0.09) ** 2)
    pike, draw = rng.uniform(0.0, 0.1), rng.uniform(0.3, 0.5)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        line = unit(vec(n, -foot_x, 0, high - 0.09))
        hips = vec(n, foot_x, 0, 0.09) + line * (shank - 0.02) + vec(n, 0, 0, pike)
        back = unit(vec(n, 0, 0, high) - hips)
        p.trunk(hips, np.arctan2(back[:, 0], back[:, 2]), nod=-0.3)
        for s, out in ((0, 1.0), (1, -1.0)):
            w = u * (side == s)
            ankle = vec(n, foot_x + draw * w, out * 0.06, 0.09 + 0.05 * w)
            p.leg_to(s, ankle, vec(n, 1, 0.15 * out, -0.4), vec(n, 0.4, 0, -1))
            p.arm_to(s, vec(n, 0, out * (b.shoulder_half + 0.02), 0.025), vec(n, -1, out, 0), X)
        return p.joints

    return Motion(pose, low=True, ballistic=True, pairs=True, seconds=(0.7, 2.2))


def any_movement(rng, b):
    """A made-up exercise: two or three random postures on one base, passed through in turn."""
    base_kind = rng.choice(["stand", "sit", "lie", "kneel"], p=[0.6, 0.15, 0.15, 0.1])
    size = rng.uniform(0.5, 1.0)

    def draw():
        return {
            "drop": rng.uniform(0, 0.22) * (rng.random() < 0.5), "lean": rng.normal(0, 0.35), "roll": rng.normal(0, 0.25),
            "twist": rng.normal(0, 0.5), "arms": rng.normal(0, 1, (2, 2, 3)) + np.array([0.3, 0.4, 0.0]),
            "legs": rng.normal(0, 1, (2, 2)),
        }

    keys = [draw(), draw(), draw()]
    mirrored = rng.random() < 0.6
    keys[1]["drop"] = max(keys[1]["drop"], 0.1 * (rng.random() < 0.4))
    for k in keys:
        if mirrored:
            k["arms"][1] = k["arms"][0]
            k["legs"][1] = k["legs"][0]
            k["roll"], k["twist"] = 0.0, 0.0
    for k in keys[1:]:  # the start posture stays as drawn; the others move away from it by the style's size
        for name in k:
            k[name] = keys[0][name] + (k[name] - keys[0][name]) * size
    middle = rng.random() < 0.3

    def value(name, u):
        shape = np.asarray(keys[0][name]).ndim
        w = u.reshape((-1,) + (1,) * shape)
        bow = np.sin(np.pi * w) if middle else 0.0
        return np.asarray(keys[0][name]) * (1 - w) + np.asarray(keys[1][name]) * w + np.asarray(keys[2][name]) * 0.6 * bow

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        legs = value("legs", u)
        if base_kind == "stand":
            drop = np.maximum(value("drop", u), 0)
            p.trunk(vec(n, -0.4 * drop, 0, b.hip_z - drop), value("lean", u) * 0.7 + drop, roll=value("roll", u), twist=value("twist", u))
            stand_legs(p, 0.09, 0.3)
        elif base_kind in ("sit", "kneel"):
            z = 0.30 if base_kind == "sit" else b.leg[0] + 0.06
            p.trunk(vec(n, 0, 0, z), value("lean", u) * 0.8, roll=value("roll", u), twist=value("twist", u))
            for s, out in ((0, 1.0), (1, -1.0)):
                if base_kind == "sit":
                    a = 0.25 * (1 + np.tanh(legs[:, s, 0])) * 1.2
                    p.leg_along(s, X + 0.2 * out * Y, swing((0.1, 0, -1), X, a), X)
                else:
                    p.leg_along(s, DOWN + 0.1 * out * Y, -X, -X)
        else:
            p.trunk(vec(n, 0, 0, 0.075), -1.5 + 0.35 * np.abs(value("lean", u)), twist=value("twist", u) * 0.3)
            for s, out in ((0, 1.0), (1, -1.0)):
                a = 0.8 * (1 + np.tanh(legs[:, s, 0]))
                k = 0.9 * (1 + np.tanh(legs[:, s, 1]))
                p.leg_along(s, swing(X + 0.1 * out * Y, Z, a), swing(X, Z, a - k), vec(n, 0.4, 0, 1))
        arms = value("arms", u)
        for s in (0, 1):
            upper = unit(arms[:, s, 0])
            upper[:, 1] = np.abs(upper[:, 1])
            fore = unit(arms[:, s, 1] + 0.5 * upper)
            p.arm_along(s, upper, fore)
        return p.joints

    return Motion(pose, low=base_kind == "lie", seconds=(0.8, 4.5), props=dumbbells(rng) if rng.random() < 0.3 else [])


MOTIONS = {
    "push-up": pushup, "squat": squat, "lunge": lunge, "sit-up": situp, "pull-up": pullup, "jumping jack": jack,
    "bicep curl": curl, "shoulder press": press, "lateral raise": raise_arms, "knee raise": knee_raise,
    "front raise": front_raise, "hinge": hinge, "glute bridge": bridge, "mountain climber": climber, "any": any_movement,
}
