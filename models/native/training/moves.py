"""What a movement is, and the weights, bars and arm positions that several movements share."""

from dataclasses import dataclass, field

import numpy as np

from figures import ELBOW, HAND, HIP, NECK, SHOULDER, WRIST, swing, unit, vec

X, Y, Z = np.eye(3)
DOWN = -Z


@dataclass
class Motion:
    """One style of one family.

    `pose(u, side)` takes u (n) from 0 (start posture) to 1 (far posture) and side (n) in {0, 1} for movements that
    alternate, and gives joints (n, 20, 3); feet, hands and knees that rest on something stay where they are. `low` is whether it starts on the floor, `seconds` the range of a repetition's length,
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
