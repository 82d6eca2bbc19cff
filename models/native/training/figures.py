"""A jointed human figure: its proportions, and postures by two-bone inverse kinematics.

World axes: x is the way the figure faces, y its left, z up, floor at z = 0. One unit is the stature. Every array has one
row per frame first, so a whole scene is posed at once.
"""

from dataclasses import dataclass

import numpy as np

PELVIS, SPINE, NECK, HEAD = 0, 1, 2, 3
SHOULDER, ELBOW, WRIST, HAND, HIP, KNEE, ANKLE, TOE = 4, 6, 8, 10, 12, 14, 16, 18  # left; + 1 is right
N_JOINTS = 20
PARENT = np.array([-1, 0, 1, 2, 2, 2, 4, 5, 6, 7, 8, 9, 0, 0, 12, 13, 14, 15, 16, 17])
POSE_JOINTS = [HEAD, NECK, PELVIS, ELBOW, ELBOW + 1, WRIST, WRIST + 1, KNEE, KNEE + 1, ANKLE, ANKLE + 1]
OUT = np.array([1.0, -1.0])  # outward along y, for left and right


@dataclass
class Body:
    """Segment lengths in statures; `girth` scales every radius, `leg` and `arm` are (upper, lower)."""

    leg: tuple
    arm: tuple
    trunk: tuple
    hip_half: float
    shoulder_half: float
    foot: float
    girth: float
    belly: float
    bust: float
    head: float

    @property
    def ankle_z(self):
        return 0.04

    @property
    def hip_z(self):
        """Height of the hips when the figure stands with straight legs."""
        return self.ankle_z + 0.995 * (self.leg[0] + self.leg[1])

    @property
    def reach(self):
        return self.arm[0] + self.arm[1]


def draw_body(rng):
    """A random adult or adolescent build."""
    leg, arm = 0.49 * rng.uniform(0.92, 1.07), 0.325 * rng.uniform(0.92, 1.08)
    return Body(
        leg=(leg * 0.5, leg * 0.5),
        arm=(arm * 0.54, arm * 0.46),
        trunk=(0.125 * rng.uniform(0.9, 1.1), 0.165 * rng.uniform(0.93, 1.07)),
        hip_half=rng.uniform(0.045, 0.06),
        shoulder_half=rng.uniform(0.095, 0.13),
        foot=rng.uniform(0.11, 0.14),
        girth=float(np.exp(rng.normal(0.0, 0.16))),
        belly=max(0.0, rng.normal(0.0, 0.03)),
        bust=rng.uniform(0.02, 0.04) if rng.random() < 0.4 else 0.0,
        head=rng.uniform(0.92, 1.12),
    )


def unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)


def vec(n, x, y, z):
    """(n, 3) from three numbers or (n) arrays."""
    out = np.empty((n, 3))
    out[:, 0], out[:, 1], out[:, 2] = x, y, z
    return out


def axes(n, pitch, roll=0.0, twist=0.0):
    """Forward, left and up (n, 3) of a segment that leans forward by pitch, left by roll, and turns left by twist."""
    pitch, roll, twist = (np.broadcast_to(a, (n,)) for a in (pitch, roll, twist))
    up, forward, left = vec(n, np.sin(pitch), 0, np.cos(pitch)), vec(n, np.cos(pitch), 0, -np.sin(pitch)), vec(n, 0, 1, 0)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    up, left = up * c + left * s, left * c - up * s
    c, s = np.cos(twist)[:, None], np.sin(twist)[:, None]
    return forward * c + left * s, left * c - forward * s, up


def reach_to(root, target, first, second, pole):
    """Two-bone inverse kinematics: the middle joint and the end (n, 3) that reaches for target, bending towards pole."""
    way = target - root
    d = np.linalg.norm(way, axis=-1, keepdims=True)
    e = way / np.maximum(d, 1e-6)
    d = np.clip(d, abs(first - second) + 1e-3, (first + second) * 0.9995)
    along = (first**2 - second**2 + d**2) / (2 * d)
    off = np.sqrt(np.maximum(first**2 - along**2, 0.0))
    side = unit(pole - e * np.sum(pole * e, axis=-1, keepdims=True))
    return root + e * along + side * off, root + e * d


class Pose:
    """Joints (n, 20, 3) under construction; trunk first, then legs and arms in either order."""

    def __init__(self, body, n):
        self.body, self.n = body, n
        self.joints = np.zeros((n, N_JOINTS, 3))

    def trunk(self, pelvis, pitch, chest_pitch=None, roll=0.0, twist=0.0, nod=0.0, turn=0.0, shrug=0.0):
        """Pelvis position (n, 3), lean of the lower and the upper trunk, and the head relative to the chest."""
        n, b, j = self.n, self.body, self.joints
        pitch = np.broadcast_to(pitch, (n,))
        chest_pitch = pitch if chest_pitch is None else np.broadcast_to(chest_pitch, (n,))
        roll, twist = np.broadcast_to(roll, (n,)), np.broadcast_to(twist, (n,))
        self.pelvis_axes = axes(n, pitch, roll * 0.3, twist * 0.3)
        self.chest = axes(n, chest_pitch, roll, twist)
        j[:, PELVIS] = pelvis
        j[:, SPINE] = pelvis + self.pelvis_axes[2] * b.trunk[0]
        j[:, NECK] = j[:, SPINE] + self.chest[2] * b.trunk[1]
        look = axes(n, chest_pitch + nod, roll, twist + turn)
        j[:, HEAD] = j[:, NECK] + look[2] * 0.105 * b.head + look[0] * 0.018
        self.look = look
        lift = np.broadcast_to(shrug, (n,))[:, None] * 0.03 - 0.022
        for side in (0, 1):
            j[:, SHOULDER + side] = j[:, NECK] + self.chest[2] * lift + self.chest[1] * (OUT[side] * b.shoulder_half)
            j[:, HIP + side] = pelvis + self.pelvis_axes[1] * (OUT[side] * b.hip_half) - self.pelvis_axes[2] * 0.02
        return self

    def leg_to(self, side, ankle, pole, toe):
        """Plants one ankle (n, 3); pole is where the knee points, toe the direction of the foot."""
        j, b = self.joints, self.body
        j[:, KNEE + side], j[:, ANKLE + side] = reach_to(j[:, HIP + side], ankle, b.leg[0], b.leg[1], pole)
        return self.foot(side, toe)

    def leg_along(self, side, thigh, shin, toe):
        """One leg from directions (n, 3) in the world."""
        j, b = self.joints, self.body
        j[:, KNEE + side] = j[:, HIP + side] + unit(thigh) * b.leg[0]
        j[:, ANKLE + side] = j[:, KNEE + side] + unit(shin) * b.leg[1]
        return self.foot(side, toe)

    def foot(self, side, toe):
        self.joints[:, TOE + side] = self.joints[:, ANKLE + side] + unit(toe) * self.body.foot
        return self

    def arm_to(self, side, wrist, pole, hand):
        """Puts one wrist at a place (n, 3); pole is where the elbow points, hand the direction of the fingers."""
        j, b = self.joints, self.body
        j[:, ELBOW + side], j[:, WRIST + side] = reach_to(j[:, SHOULDER + side], wrist, b.arm[0], b.arm[1], pole)
        j[:, HAND + side] = j[:, WRIST + side] + unit(hand) * 0.06
        return self

    def arm_along(self, side, upper, fore):
        """One arm from directions (n, 3) given as (forward, outward, up) of the chest."""
        j, b = self.joints, self.body
        upper, fore = self.from_chest(side, upper), self.from_chest(side, fore)
        j[:, ELBOW + side] = j[:, SHOULDER + side] + unit(upper) * b.arm[0]
        j[:, WRIST + side] = j[:, ELBOW + side] + unit(fore) * b.arm[1]
        j[:, HAND + side] = j[:, WRIST + side] + unit(fore) * 0.06
        return self

    def from_chest(self, side, v):
        v = np.broadcast_to(np.asarray(v, float), (self.n, 3))
        return v[:, :1] * self.chest[0] + v[:, 1:2] * OUT[side] * self.chest[1] + v[:, 2:] * self.chest[2]


def swing(start, end, angle):
    """Directions (n, 3) that turn from start towards end (perpendicular to it) by angle (n)."""
    angle = np.asarray(angle)[:, None]
    return np.asarray(start, float) * np.cos(angle) + np.asarray(end, float) * np.sin(angle)


def blend(a, b, weight):
    """Joints between a (weight 0) and b (weight 1): bones turn and keep their length, and nothing sinks into the floor."""
    w = np.broadcast_to(weight, (len(a),))[:, None]
    out = np.empty_like(a)
    out[:, 0] = a[:, 0] * (1 - w) + b[:, 0] * w
    for joint in range(1, N_JOINTS):
        p = PARENT[joint]
        bone_a, bone_b = a[:, joint] - a[:, p], b[:, joint] - b[:, p]
        mixed = bone_a * (1 - w) + bone_b * w
        length = np.linalg.norm(bone_a, axis=1, keepdims=True) * (1 - w) + np.linalg.norm(bone_b, axis=1, keepdims=True) * w
        out[:, joint] = out[:, p] + unit(mixed) * length
    sunk = np.minimum(out[:, :, 2].min(axis=1), 0.02) - 0.02
    out[:, :, 2] -= sunk[:, None]
    return out


def place(joints, x, y, yaw):
    """Turns the figure by yaw (n) or a number about the vertical and moves it to (x, y)."""
    c, s = (np.broadcast_to(f(yaw), (len(joints),))[:, None] for f in (np.cos, np.sin))
    out = joints.copy()
    out[:, :, 0] = joints[:, :, 0] * c - joints[:, :, 1] * s + np.broadcast_to(x, (len(joints),))[:, None]
    out[:, :, 1] = joints[:, :, 0] * s + joints[:, :, 1] * c + np.broadcast_to(y, (len(joints),))[:, None]
    return out
