"""What is drawn around a figure's joints: its solid shape, and clothes."""

from dataclasses import dataclass

import numpy as np

from figures import ANKLE, ELBOW, HAND, HEAD, HIP, KNEE, NECK, PELVIS, SHOULDER, SPINE, TOE, WRIST, unit


@dataclass
class Solid:
    """Round cones: ends (n, p, 2, 3), radii (p, 2), colours (p, 3) in 0..255, cloth (p) and the flat normal's share (p).

    `facing` (n, 3) is the way the chest points: broad flat parts are shaded by it as much as by their own roundness.
    """

    ends: np.ndarray
    radii: np.ndarray
    colours: np.ndarray
    cloth: np.ndarray
    flat: np.ndarray
    facing: np.ndarray


def draw_outfit(rng, behind=None):
    """Colours 0..255 by part, sleeve and trouser lengths as shares of the limb, and cloth patterns.

    behind is the grey of the backdrop: clothes of nearly the same grey are drawn anew, up to three times.
    """
    for _ in range(4):
        outfit = _draw_outfit(rng)
        if behind is None or max(abs(outfit[k].mean() - behind) for k in ("shirt", "legs")) > 40:
            break
    return outfit


def _draw_outfit(rng):
    def colour(low, high, saturation):
        base = rng.uniform(low, high)
        return np.clip(base + saturation * rng.normal(0, 1, 3), 8, 250)

    skin = np.array([1.12, 0.97, 0.84]) * rng.choice([60, 85, 115, 145, 175, 195]) * rng.uniform(0.9, 1.1)
    dark = rng.random(4) < 0.45
    shirt = skin * 1.0 if rng.random() < 0.1 else colour(12, 60, 8) if dark[0] else colour(60, 245, 25)
    legs = colour(12, 55, 8) if dark[1] or rng.random() < 0.3 else colour(60, 235, 20)
    return {
        "skin": skin,
        "shirt": shirt,
        "legs": shirt * rng.uniform(0.9, 1.1) if rng.random() < 0.12 else legs,
        "shoes": skin if rng.random() < 0.15 else colour(15, 60, 8) if dark[2] else colour(120, 245, 15),
        "hair": skin if rng.random() < 0.08 else colour(12, 50, 4) if rng.random() < 0.75 else colour(90, 180, 10),
        "sleeve": rng.choice([0.0, 0.45, 0.7, 1.6, 2.0]),
        "trouser": rng.choice([0.35, 0.7, 1.0, 2.0, 2.0, 1.6]),
        "hem": rng.random() < 0.25,
        "pattern": int(rng.choice([0, 0, 0, 0, 1, 2, 3])),
        "long_hair": int(rng.choice([0, 0, 1, 2])),
    }


def solid(joints, body, outfit):
    """The figure's shape around its joints (n, 20, 3)."""
    j, g = joints, body.girth
    up = unit(j[:, NECK] - j[:, SPINE])
    left = unit(j[:, SHOULDER] - j[:, SHOULDER + 1])
    facing = unit(np.cross(left, up))
    ends, radii, colours, cloth, flat = [], [], [], [], []

    def add(a, b, ra, rb, colour, pattern=0, flatness=0.0):
        ends.append((a, b))
        radii.append((ra, rb))
        colours.append(colour)
        cloth.append(pattern)
        flat.append(flatness)

    def between(a, b, t):
        return a + (b - a) * t

    def covered(a, b, ra, rb, share, colour, pattern):
        """A bone whose first share is under cloth of the colour, the rest skin."""
        share = min(max(share, 0.0), 1.0)
        if share < 1.0:
            add(a, b, ra, rb, outfit["skin"])
        if share > 0.05:
            add(a, between(a, b, share), ra * 1.1, (ra + (rb - ra) * share) * 1.16, colour, pattern)

    shirt, legs, skin, pattern = outfit["shirt"], outfit["legs"], outfit["skin"], outfit["pattern"]
    hip_left = unit(j[:, HIP] - j[:, HIP + 1])
    wide, waist = body.shoulder_half - 0.052, 0.034 + 0.2 * body.belly
    for sign in (1, -1):
        chest = j[:, NECK] - up * 0.07 + left * (sign * wide)
        middle = j[:, SPINE] + left * (sign * waist) + facing * 0.4 * body.belly
        hip = j[:, PELVIS] + hip_left * (sign * (body.hip_half - 0.012))
        add(chest, middle, 0.064 * g, 0.058 * g + body.belly, shirt, pattern, 0.75)
        add(middle, hip, 0.058 * g + body.belly, 0.066 * g, shirt if outfit["hem"] else legs, pattern if outfit["hem"] else 0, 0.65)
        add(middle, between(middle, hip, 0.55), 0.059 * g + body.belly, 0.064 * g, shirt, pattern, 0.5)
        if body.bust > 0:
            bust = j[:, NECK] - up * 0.11 + left * (sign * 0.04) + facing * 0.05
            add(bust, bust - up * 0.01, body.bust * 1.1, body.bust * 1.2, shirt, pattern, 0.3)
        seat = j[:, HIP + (sign < 0)] - facing * 0.025
        add(seat, seat + (j[:, KNEE + (sign < 0)] - seat) * 0.15, 0.064 * g, 0.066 * g, legs, 0, 0.55)
    add(j[:, SHOULDER], j[:, SHOULDER + 1], 0.046 * g, 0.046 * g, shirt, pattern, 0.65)
    add(j[:, NECK] - up * 0.02, between(j[:, NECK], j[:, HEAD], 0.75), 0.036 * g**0.5, 0.032 * g**0.5, skin)

    h = body.head
    crown = unit(j[:, HEAD] - j[:, NECK])
    face = unit(np.cross(left, crown))
    add(j[:, HEAD] - crown * 0.022 * h + face * 0.008, j[:, HEAD] + crown * 0.022 * h, 0.044 * h, 0.05 * h, skin)
    back = j[:, HEAD] + crown * 0.022 * h - face * 0.014
    add(back - crown * 0.03 * h - face * 0.008, back + crown * 0.004, 0.042 * h, 0.053 * h, outfit["hair"])
    if outfit["long_hair"] == 1:
        add(back - face * 0.03, back - face * 0.06 - crown * 0.11, 0.022 * h, 0.014 * h, outfit["hair"])
    elif outfit["long_hair"] == 2:
        add(back - face * 0.01, j[:, NECK] - up * 0.03 - facing * 0.045, 0.05 * h, 0.045 * h, outfit["hair"])

    for side in (0, 1):
        shoulder, elbow, wrist, hand = (j[:, k + side] for k in (SHOULDER, ELBOW, WRIST, HAND))
        covered(shoulder, elbow, 0.039 * g, 0.03 * g, outfit["sleeve"], shirt, pattern)
        covered(elbow, wrist, 0.03 * g, 0.021 * g**0.5, outfit["sleeve"] - 1, shirt, pattern)
        add(wrist, hand, 0.021, 0.02, skin)
        hip, knee, ankle, toe = (j[:, k + side] for k in (HIP, KNEE, ANKLE, TOE))
        covered(hip, knee, 0.067 * g, 0.044 * g, outfit["trouser"], legs, 0)
        calf = between(knee, ankle, 0.35)
        covered(knee, calf, 0.042 * g, 0.042 * g, 3 * (outfit["trouser"] - 1), legs, 0)
        covered(calf, ankle, 0.042 * g, 0.025 * g**0.5, (outfit["trouser"] - 1.35) * 1.6, legs, 0)
        heel = ankle - unit(toe - ankle) * 0.02
        add(heel, toe, 0.03, 0.023, outfit["shoes"])

    return Solid(
        ends=np.stack([np.stack(pair, 1) for pair in ends], 1),
        radii=np.array(radii),
        colours=np.array(colours, float),
        cloth=np.array(cloth, np.int64),
        flat=np.array(flat),
        facing=facing,
    )
