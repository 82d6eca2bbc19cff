"""The exercises: each family draws its own style once and then poses the figure for any place in the movement."""

import numpy as np

from figures import Pose, swing, unit, vec
from moves import DOWN, Motion, X, Y, Z, dumbbells, stand_legs
from moves_floor import bridge, burpee, climber, leg_raise, pullup, pushup, situp
from moves_standing import curl, front_raise, hinge, jack, knee_raise, lunge, press, raise_arms, row, squat


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
    "front raise": front_raise, "hinge": hinge, "glute bridge": bridge, "mountain climber": climber,
    "row": row, "leg raise": leg_raise, "burpee": burpee, "any": any_movement,
}
