"""What people do when they do not exercise: stand, fidget, talk, walk, drink, sit down, hold a pose."""

import numpy as np

from figures import HIP, NECK, Pose, place, swing, unit, vec
from motions import MOTIONS
from moves import DOWN, X, mix
from timeline import smooth_noise


def stand_about(rng, body, n, fps, root=None, busy=0.3):
    """Joints (n, 20, 3) of someone upright: root (n, 3: x, y, heading) walks the figure when it moves; busy 0..1 is how much
    the arms do."""
    root = np.zeros((n, 3)) if root is None else root
    p = Pose(body, n)
    step = np.hypot(np.gradient(root[:, 0]), np.gradient(root[:, 1])) * fps  # statures a second
    walking = np.clip(step / 0.25, 0, 1)
    cycle = np.cumsum(step / fps) / 0.42 * np.pi  # one pace of 0.42 is half a gait cycle
    sway = smooth_noise(rng, n, 1.8 * fps, (4,)) * 0.012
    shift = smooth_noise(rng, n, 3.0 * fps) * 0.02 * (1 - walking)
    look = smooth_noise(rng, n, 1.5 * fps, (2,))
    bob = 0.012 * walking * np.cos(2 * cycle)
    p.trunk(vec(n, sway[:, 0], shift, body.hip_z + 0.006 + bob), 0.03 + sway[:, 1] + 0.04 * walking, roll=sway[:, 2] * 2,
            twist=0.12 * walking * np.sin(cycle), nod=0.25 * look[:, 0] * busy, turn=0.5 * look[:, 1])
    width = rng.uniform(0.05, 0.1)
    for s, out in ((0, 1.0), (1, -1.0)):
        stride = 0.2 * walking * np.sin(cycle + np.pi * s)
        lift = 0.07 * walking * np.maximum(np.cos(cycle + np.pi * s), 0)
        p.leg_to(s, vec(n, stride, out * (width - 0.03 * walking), body.ankle_z + lift), vec(n, 1, out * 0.25, 0), vec(n, 1, 0.2 * out, -0.2))
    resting = rng.choice(["hang", "hips", "folded"], p=[0.6, 0.2, 0.2])
    drift = smooth_noise(rng, n, rng.uniform(0.35, 1.5) * fps, (2, 4))
    burst = np.clip(smooth_noise(rng, n, 1.6 * fps, (2,)) + 2.2 * busy - 1.0, 0, 1)
    shared = rng.random() < 0.5
    for s in (0, 1):
        d = drift[:, 0] if shared else drift[:, s]
        w = burst[:, 0] if shared else burst[:, s]
        w = w * (1 - walking)
        raised, bent = w * (0.25 + 0.35 * d[:, 0]), w * (1.3 + 0.6 * d[:, 1])
        gait = 0.45 * walking * np.sin(cycle + np.pi * (1 - s))
        aside = 0.12 + 0.15 * w * d[:, 2]
        still = {"hang": 0.12, "hips": 0.12, "folded": 0.12}[resting]
        p.arm_along(s, swing((0, 0.0, -1), X, raised + gait) + vec(n, 0, aside, 0),
                    swing((0, 0.0, -1), X, raised + gait + bent + still + 0.3 * walking) + vec(n, 0, 0.1 * w * d[:, 3] - 0.25 * w, 0))
    if resting != "hang" and busy < 0.6:
        for s in (0, 1):
            at = p.joints[:, HIP + s] + p.from_chest(s, (0.03, 0.06, 0.05)) if resting == "hips" else p.joints[:, NECK] + p.from_chest(s, (0.12, -0.05, -0.13))
            p.arm_to(s, at, p.from_chest(s, (-0.3, 1, -0.3)), p.from_chest(s, (0.3, -0.5, -0.5)))
    return place(p.joints, root[:, 0], root[:, 1], root[:, 2])


def crouch(body, n):
    """On one knee, a hand to the floor: the way between standing and lying."""
    p = Pose(body, n)
    p.trunk(vec(n, -0.12, 0, 0.26), 0.85, nod=-0.3)
    p.leg_to(0, vec(n, 0.05, 0.08, body.ankle_z), vec(n, 1, 0.3, 0.3), X)
    p.leg_to(1, vec(n, -0.32, -0.08, 0.06), vec(n, 1, -0.2, -0.6), X - 0.8 * np.array([0, 0, 1.0]))
    for s, out in ((0, 1.0), (1, -1.0)):
        p.arm_to(s, vec(n, 0.22, 0.12 * out, 0.04 + 0.16 * (1 - s)), vec(n, -0.3, out, 0), vec(n, 1, 0, -0.3))
    return p.joints


def held_pose(rng, body, n, fps):
    """A static hold, trembling a little: (joints, whether it is on the floor)."""
    kind = rng.choice(["plank", "warrior", "dog", "sit", "hang", "chair", "half", "lie"])
    tremble = smooth_noise(rng, n, rng.uniform(0.2, 1.2) * fps) * rng.uniform(0.005, 0.03)
    side = np.zeros(n, int)
    if kind in ("plank", "hang", "half", "lie", "chair"):
        name = {"plank": "push-up", "hang": "pull-up", "lie": "sit-up", "chair": "squat"}.get(kind)
        name = name or str(rng.choice(list(MOTIONS)))
        motion = MOTIONS[name](rng, body)
        level = {"plank": rng.choice([0.0, 0.05, 0.9]), "hang": 0.0, "lie": rng.choice([0.0, 1.0]), "chair": 0.9}.get(kind, rng.random())
        return motion.pose(np.clip(level + tremble, 0, 1.05), side), motion.low, motion.props
    p = Pose(body, n)
    if kind == "warrior":
        p.trunk(vec(n, 0, 0, 0.36 + tremble * 0.3), 0.02, twist=rng.uniform(-1.4, 0))
        p.leg_to(0, vec(n, 0.27, 0.04, body.ankle_z), X, X)
        p.leg_to(1, vec(n, -0.42, -0.04, body.ankle_z), vec(n, 0.5, -1, -0.5), vec(n, 0.6, -0.8, -0.1))
        for s in (0, 1):
            p.arm_along(s, vec(n, 0, 1, 0.05 + tremble), vec(n, 0, 1, 0))
        return p.joints, False, []
    if kind == "dog":
        p.trunk(vec(n, 0, 0, 0.45 + tremble * 0.3), 2.25, nod=0.3)
        for s, out in ((0, 1.0), (1, -1.0)):
            p.leg_to(s, vec(n, -0.25, 0.08 * out, 0.05), X, X)
            p.arm_to(s, vec(n, 0.48, 0.13 * out, 0.03), vec(n, 0, out, 0.5), X)
        return p.joints, True, []
    p.trunk(vec(n, 0, 0, 0.08), 0.1 + tremble, nod=0.0)
    for s, out in ((0, 1.0), (1, -1.0)):
        p.leg_to(s, vec(n, 0.16 + 0.1 * s, -0.05 * out, 0.05), vec(n, 0.4, out, 0.3), vec(n, 0.4, -out, 0))
        p.arm_to(s, vec(n, 0.2, 0.13 * out, 0.14 + tremble * 0.2), vec(n, -0.3, out, -0.3), X)
    return p.joints, True, []


def sit_down(rng, body, n, fps):
    """Sits down on a chair once, and perhaps gets up again much later."""
    t = np.arange(n) / fps
    at = rng.uniform(0.1, 0.6) * n / fps
    w = np.clip((t - at) / rng.uniform(0.9, 2.0), 0, 1)
    if rng.random() < 0.4:
        w = np.minimum(w, np.clip((at + rng.uniform(4, 9) - t) / 1.3, 0, 1))
    w = w * w * (3 - 2 * w)
    p = Pose(body, n)
    p.trunk(vec(n, -0.22 * w, 0, mix(body.hip_z + 0.01, 0.29, w)), 0.7 * np.sin(np.pi * w) + 0.02, nod=0.1)
    fidget = smooth_noise(rng, n, 1.2 * fps, (2,)) * 0.15
    for s, out in ((0, 1.0), (1, -1.0)):
        p.leg_to(s, vec(n, 0.02, out * 0.08, body.ankle_z), vec(n, 1, 0.2 * out, 0.2), vec(n, 1, 0.2 * out, -0.2))
        p.arm_along(s, swing(DOWN, X, 0.1 + 0.35 * w + fidget[:, s] * 0.4), swing(DOWN, X, 0.2 + 1.0 * w + fidget[:, s]) + np.array([0, -0.1, 0]))
    return p.joints


def drink(rng, body, n, fps):
    """Standing, one hand goes to the mouth for a while and comes back."""
    joints = stand_about(rng, body, n, fps, busy=0.0)
    t = np.arange(n) / fps
    at, stay = rng.uniform(0.1, 0.6) * n / fps, rng.uniform(1.0, 4.0)
    w = np.clip(np.minimum((t - at) / 0.9, (at + stay + 0.9 - t) / 0.9), 0, 1)[:, None]
    s = int(rng.integers(2))
    p = Pose(body, n)
    p.joints = joints.copy()
    mouth = joints[:, NECK] + vec(n, 0.1, 0.02 * (1 - 2 * s), 0.07)
    p.arm_to(s, joints[:, 8 + s] * (1 - w) + mouth * w, vec(n, 0.2, 1 - 2 * s, -1), unit(vec(n, -0.1, 0, 1)))
    return p.joints


def walk_path(rng, n, fps, across=False):
    """Root (n, 3: x, y, heading) of someone who walks in and stops, or walks through the room."""
    t = np.arange(n) / fps
    angle = rng.uniform(0, 2 * np.pi)
    far = rng.uniform(1.0, 3.0)
    a = np.array([np.cos(angle), np.sin(angle)]) * far
    speed = rng.uniform(0.45, 0.95)
    if across:
        b = rng.normal(0, 0.6, 2) - a * rng.uniform(0.3, 1.0)
    else:
        b = rng.normal(0, 0.15, 2)
    start = rng.uniform(-1.0, 3.0)
    length = np.hypot(*(b - a))
    s = np.clip((t - start) * speed / length, 0, 1)
    xy = a + (b - a) * s[:, None]
    heading = np.full(n, np.arctan2(*(b - a)[::-1]))
    after = np.clip((t - start - length / speed) / 0.8, 0, 1)
    return np.stack([xy[:, 0], xy[:, 1], heading + rng.uniform(-2, 2) * after], 1)
