"""Movements with the hands or the back on something: push-ups, sit-ups, pull-ups, bridges, climbers, leg raises, burpees."""

import numpy as np

from figures import HIP, KNEE, NECK, SHOULDER, Pose, blend, swing, unit, vec
from moves import Motion, X, Y, Z, fixed, mix, stand_legs


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


def leg_raise(rng, b):
    """On the back, both legs rise and sink."""
    top, knee, low = rng.uniform(0.7, 1.6), rng.uniform(0.0, 0.5), rng.uniform(0.02, 0.2)

    def pose(u, side):
        n = len(u)
        p = Pose(b, n)
        p.trunk(vec(n, 0, 0, 0.075), -1.5, nod=0.15)
        a = mix(low, top, u)
        for s, out in ((0, 1.0), (1, -1.0)):
            p.leg_along(s, swing(X + 0.06 * out * Y, Z, a), swing(X, Z, a - knee * (0.3 + u)), vec(n, 0.3, 0, 1))
            p.arm_to(s, vec(n, 0.02, out * (b.shoulder_half + 0.06), 0.03), vec(n, -0.2, out, -0.1), X)
        return p.joints

    return Motion(pose, low=True, seconds=(1.2, 4.5))


def burpee(rng, b):
    """From standing to a crouch with the hands down, to a plank, and back."""
    hop, wide = rng.uniform(0.0, 0.1), b.shoulder_half + 0.03
    overhead = rng.random() < 0.5
    high = b.reach * 0.98 + 0.03
    foot_x = -np.sqrt((sum(b.trunk) + sum(b.leg)) ** 2 - (high - 0.09) ** 2) + 0.01

    def pose(u, side):
        n = len(u)
        tall, small, plank = Pose(b, n), Pose(b, n), Pose(b, n)
        tall.trunk(vec(n, 0, 0, b.hip_z + 0.01), 0.03)
        stand_legs(tall, 0.07, 0.2)
        small.trunk(vec(n, -0.1, 0, 0.2), 1.0, nod=-0.5)
        stand_legs(small, 0.08, 0.3)
        back = unit(vec(n, 0.3, 0, high) - vec(n, 0.3 + foot_x, 0, 0.09))
        plank.trunk(vec(n, 0.3 + foot_x, 0, 0.09) + back * sum(b.leg), np.arctan2(back[:, 0], back[:, 2]), nod=-0.4)
        for s, out in ((0, 1.0), (1, -1.0)):
            raised = np.clip(1 - 5 * u, 0, 1)[:, None] if overhead else np.zeros((n, 1))
            arm = vec(n, 0.1, 0.15, -1) * (1 - raised) + vec(n, 0.3, 0.1, 1.0) * raised
            tall.arm_along(s, arm, arm + [0.1, 0, 0])
            for p in (small, plank):
                p.arm_to(s, vec(n, 0.3, out * wide, 0.03), vec(n, -1, out * 0.6, 0.2), X)
            plank.leg_to(s, vec(n, 0.3 + foot_x, out * 0.06, 0.09), vec(n, 0.2, 0, -1), vec(n, 0.35, 0, -1))
        joints = blend(blend(tall.joints, small.joints, np.clip(2 * u, 0, 1)), plank.joints, np.clip(2 * u - 1, 0, 1))
        joints[:, :, 2] += (hop * np.sin(np.pi * np.clip(u / 0.15, 0, 1)))[:, None]
        return joints

    return Motion(pose, seconds=(1.8, 5.5))
