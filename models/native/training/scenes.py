"""Synthetic video of people exercising, with exact labels: the training data for counting repetitions.

`python -m scenes sheet.png` (in this folder) writes a contact sheet of every family.
"""

import sys
import zlib
from dataclasses import dataclass

import numpy as np

import backdrops
import idles
import render
from figures import ANKLE, HAND, HEAD, N_JOINTS, POSE_JOINTS, blend, draw_body, draw_outfit, place, solid, unit
from motions import MOTIONS
from timeline import Timeline, draw_timeline, smooth_noise

SIZE, FPS = 80, 10
FAMILIES = tuple(MOTIONS)
WEIGHTS = np.array([2.2, 1.6, 1.3, 1.3, 1.3, 0.9, 1.2, 1.0, 1.0, 0.9, 0.4, 0.6, 0.5, 0.4, 1.6])
NONE_SHARE = 0.25
MARGIN = 1.45  # how far the painted backdrop reaches beyond the frame, for a moving camera


@dataclass
class Camera:
    """Position, axes (3, 3: right, down, forward) and the map to the frame's -1..1: stretch (2) · (X, Y)/Z + offset (2)."""

    position: np.ndarray
    axes: np.ndarray
    stretch: np.ndarray
    offset: np.ndarray

    def project(self, points):
        """Frame coordinates (..., 2) and depth (...) of world points (..., 3)."""
        local = (points - self.position) @ self.axes.T
        depth = np.maximum(local[..., 2], 0.02)
        return local[..., :2] / depth[..., None] * self.stretch + self.offset, local[..., 2]

    def directions(self, size):
        """World direction (h, w, 3) through each pixel of the backdrop, size (h, w), which covers ±MARGIN."""
        h, w = size
        x = (np.linspace(-MARGIN, MARGIN, w)[None, :] - self.offset[0]) / self.stretch[0]
        y = (np.linspace(-MARGIN, MARGIN, h)[:, None] - self.offset[1]) / self.stretch[1]
        return x[..., None] * self.axes[0] + y[..., None] * self.axes[1] + self.axes[2]


def restless_things(rng, n, fps, camera):
    """Props that move without being exercise: leaves, a curtain, a fan, a passing car, a flapping bird."""
    kind = rng.choice(["leaves", "curtain", "fan", "passing"])
    right, forward = camera.axes[0], camera.axes[2] * [1, 1, 0]
    t = np.arange(n) / fps
    middle = camera.position + forward * rng.uniform(1.5, 4.0) + right * rng.normal(0, 1.0)
    grey = rng.uniform(10, 240)
    props = []
    count = {"leaves": int(rng.integers(4, 16)), "curtain": 5, "fan": 3, "passing": 1}[kind]
    gust = smooth_noise(rng, n, rng.uniform(0.3, 2.0) * fps, (3,)) * rng.uniform(0.01, 0.08)
    speed, spin = rng.uniform(-1.5, 1.5), rng.uniform(1.0, 9.0)
    for k in range(count):
        at = middle + rng.normal(0, 0.25, 3) if kind != "curtain" else middle + right * 0.08 * k
        at[2] = rng.uniform(0.1, 1.6) if kind != "fan" else 1.0
        a = np.broadcast_to(at, (n, 3)) + gust * rng.uniform(0.2, 1.5)
        b = a + rng.normal(0, 0.1, 3)
        if kind == "curtain":
            a, b = np.broadcast_to(at * [1, 1, 0] + [0, 0, 1.6], (n, 3)), at * [1, 1, 0] + [0, 0, 0.2] + gust * (1 + 0.3 * k)
        elif kind == "fan":
            turn = spin * t + 2 * np.pi * k / 3
            a = np.broadcast_to(middle * [1, 1, 0] + [0, 0, 1.2], (n, 3))
            b = a + 0.25 * (np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * [0, 0, 1])
        elif kind == "passing":
            a = middle * [1, 1, 0] + [0, 0, 0.2] + ((t - rng.uniform(0, n / fps)) * speed)[:, None] * right
            b = a + right * rng.uniform(0.1, 0.9)
        radius = rng.uniform(0.02, 0.08) if kind != "passing" else rng.uniform(0.1, 0.3)
        props.append(lambda j, ends=(a, b, radius, grey * rng.uniform(0.8, 1.2)): ends)
    return props


def draw_camera(rng, points, low, wide=1.0, view=None):
    """A camera that has the points (k, 3) of the figure in its frame, near or far, from any side."""
    centre = (points.min(0) + points.max(0)) / 2
    azimuth, elevation, distance, share = view or (
        rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.75),
        np.deg2rad(rng.uniform(-4, 28) if not low else rng.uniform(-2, 48)),
        float(np.exp(rng.uniform(np.log(1.1 if low else 1.5), np.log(5.0)))),
        rng.uniform(0.3, 1.0) if rng.random() < 0.85 else rng.uniform(1.0, 1.25),
    )
    away = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    position = centre + away * distance
    position[2] = max(position[2], 0.07)
    forward = unit(centre - position)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0]))
    tilt = rng.normal(0, 0.03) if view is None else 0.0
    down = np.cross(forward, right)
    right, down = right * np.cos(tilt) + down * np.sin(tilt), down * np.cos(tilt) - right * np.sin(tilt)
    aspect = float(np.exp(rng.uniform(np.log(0.75), np.log(1.34)))) if view is None else 1.0
    camera = Camera(position, np.stack([right, down, forward]), np.array([aspect, wide]), np.zeros(2))
    flat, _ = camera.project(points)
    low_edge, high_edge = np.percentile(flat, 2, axis=0), np.percentile(flat, 98, axis=0)
    scale = 2 * share / max((high_edge - low_edge).max(), 1e-3)
    camera.stretch = camera.stretch * scale
    slack = np.maximum(0.95 - (high_edge - low_edge) * scale / 2, 0.12)
    shift = rng.uniform(-1, 1, 2) * slack * (0.8 if view is None else 0.0)
    camera.offset = shift - (low_edge + high_edge) / 2 * scale
    return camera


def camera_shake(rng, n, fps):
    """Views (n, 2, 3) of a hand-held camera: a similarity from the steady frame's -1..1 to the shown one."""
    kind = rng.random()
    out = np.zeros((n, 2, 3))
    amount, knot = (0.0, 1.0) if kind < 0.5 else (rng.uniform(0.004, 0.04), rng.uniform(0.3, 2.0))
    drift = smooth_noise(rng, n, knot * fps, (4,)) * amount * np.array([1, 1, 0.5, 0.5])
    if kind > 0.93:  # a slow pan or zoom
        drift += np.linspace(0, 1, n)[:, None] * rng.normal(0, 1, 4) * np.array([0.25, 0.12, 0.03, 0.15])
    zoom, turn = np.exp(drift[:, 3]), drift[:, 2] * 0.5
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = zoom * np.cos(turn), -zoom * np.sin(turn), drift[:, 0]
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = zoom * np.sin(turn), zoom * np.cos(turn), drift[:, 1]
    return out


def shaken(view, flat):
    """Frame coordinates (n, ..., 2) under views (n, 2, 3)."""
    shape = (len(view),) + (1,) * (flat.ndim - 2)
    a, b, tx = (view[:, 0, k].reshape(shape) for k in range(3))
    c, d, ty = (view[:, 1, k].reshape(shape) for k in range(3))
    return np.stack([flat[..., 0] * a + flat[..., 1] * b + tx, flat[..., 0] * c + flat[..., 1] * d + ty], -1)


class Film:
    """Collects figures, props, shots and effects, and renders them."""

    def __init__(self, rng, n, fps, size=(SIZE, SIZE), channels=1):
        self.rng, self.n, self.fps, self.size, self.channels = rng, n, fps, size, channels
        self.parts = []  # (ends, radii, colours, cloth, flat, owner)
        self.facings = []
        self.shadow_from = []

    def figure(self, joints, body, outfit, dim=1.0, casts=True):
        shape = solid(joints, body, outfit)
        owner = len(self.facings)
        self.facings.append(shape.facing)
        count = len(shape.radii)
        self.parts.append((shape.ends, shape.radii, shape.colours * dim, shape.cloth, shape.flat, np.full(count, owner)))
        if casts:
            self.shadow_from.append((shape.ends, shape.radii))

    def prop(self, ends, joints):
        a, b, radius, grey = ends(joints)
        ends = np.stack([a, b], 1)[:, None]
        self.parts.append((ends, np.full((1, 2), radius), np.full((1, 3), grey), np.zeros(1, np.int64), np.zeros(1), np.full(1, -1)))

    def shoot(self, cameras, textures, shot, shake, lights, contrast, shade, overlay, effects):
        """Frames (n, h, w, channels) uint8; shot (n) picks a camera, a backdrop and a light for each frame."""
        n, (h, w), c = self.n, self.size, self.channels
        ends = np.concatenate([p[0] for p in self.parts], 1)
        radii, colours, cloth, flat, owner = (np.concatenate([p[k] for p in self.parts]) for k in range(1, 6))
        half = np.array([w / 2, h / 2])
        rows = np.empty((n, ends.shape[1], 8), np.float32)
        facing = np.zeros((n, max(1, len(self.facings)), 3), np.float32)
        inverse_focal = np.ones(n, np.float32)
        floor = [(e, r) for e, r in self.shadow_from]
        cast = np.zeros((n, sum(e.shape[1] for e, _ in floor), 6), np.float32)
        zoom = np.hypot(shake[:, 0, 0], shake[:, 1, 0])
        views = np.empty((n, 6), np.float32)
        for k, camera in enumerate(cameras):
            at = np.nonzero(shot == k)[0]
            if len(at) == 0:
                continue
            focal = float(np.sqrt(np.prod(camera.stretch * half))) * zoom[at]
            inverse_focal[at] = 1 / focal
            xy, z = camera.project(ends[at])
            xy = (shaken(shake[at], xy) + 1) * half - 0.5
            near = np.maximum(z, 0.05)
            scaled = radii[None] / near * focal[:, None, None]
            part = np.empty((len(at), ends.shape[1], 8), np.float32)
            for e in (0, 1):
                part[:, :, 4 * e : 4 * e + 2] = np.clip(xy[:, :, e], -1e4, 1e4)
                part[:, :, 4 * e + 2] = np.minimum(scaled[:, :, e], 400)
                part[:, :, 4 * e + 3] = z[:, :, e] - 0.04
            rows[at] = part
            for f, normal in enumerate(self.facings):
                facing[at, f] = normal[at] @ camera.axes.T
            light = lights[k] @ camera.axes  # camera axes to world, for the shadow's direction
            slope = light[:2] / max(light[2], 0.25)
            first = 0
            for e, r in floor:
                points = e[at]
                ground = points.copy()
                ground[..., :2] -= points[..., 2:] * slope
                ground[..., 2] = 0.0
                flat_xy, depth = camera.project(ground)
                flat_xy = (shaken(shake[at], flat_xy) + 1) * half - 0.5
                squash = 0.5 + 0.5 * min(1.0, abs(camera.axes[2][2]) * 1.5)
                size = r[None] / np.maximum(depth, 0.05) * focal[:, None, None] * squash
                last = first + e.shape[1]
                for q in (0, 1):
                    cast[at, first:last, 3 * q : 3 * q + 2] = np.clip(flat_xy[:, :, q], -1e4, 1e4)
                    cast[at, first:last, 3 * q + 2] = np.where(depth[:, :, q] > 0.05, np.minimum(size[:, :, q], 400), 0)
                first = last
            th, tw = textures[k].shape[:2]
            back = np.linalg.inv(np.concatenate([shake[at], np.broadcast_to([[[0, 0, 1.0]]], (len(at), 1, 3))], 1))
            to_frame = np.array([[2 / w, 0, 1 / w - 1], [0, 2 / h, 1 / h - 1], [0, 0, 1]])
            to_texture = np.array([[(tw - 1) / 2 / MARGIN, 0, (tw - 1) / 2], [0, (th - 1) / 2 / MARGIN, (th - 1) / 2], [0, 0, 1]])
            views[at] = (to_texture @ back @ to_frame)[:, :2].reshape(-1, 6)
        if c == 1:
            colours = colours @ np.array([[77], [150], [29]]) / 256
        out = np.zeros((n, h, w, c), np.uint8)
        render.film(out, textures, shot, views, rows, colours.astype(np.float32), cloth, flat.astype(np.float32), facing, owner,
                    np.stack(lights).astype(np.float32), contrast, inverse_focal, cast, shade, effects["soft"], effects["still"], overlay,
                    effects["blur"], effects["lag"], effects["gain"], effects["lift"], effects["curves"], effects["noise"], np.float32(effects["skip"]),
                    int(self.rng.integers(1 << 30)))
        return out


def draw_effects(rng, n, shots, height, clean):
    """Exposure, flicker, blur, noise and codec of a random camera."""
    gain, lift = np.ones(n, np.float32), np.zeros(n, np.float32)
    kind = rng.random()
    if not clean:
        if kind < 0.07:
            gain *= rng.uniform(0.3, 0.6)
        elif kind < 0.2:
            gain *= rng.uniform(0.6, 0.9)
        elif kind < 0.3:
            lift += rng.uniform(10, 50)
            gain *= rng.uniform(0.5, 0.85)
        if rng.random() < 0.2:
            gain *= 1 + smooth_noise(rng, n, rng.uniform(4, 30)).astype(np.float32) * rng.uniform(0.01, 0.12)
        if rng.random() < 0.08:
            gain *= 1 + rng.normal(0, rng.uniform(0.005, 0.04), n).astype(np.float32)
        if rng.random() < 0.06:
            gain[int(rng.integers(n)) :] *= rng.uniform(0.6, 1.5)
        if rng.random() < 0.04:
            ramp = np.clip(np.arange(n) / rng.uniform(5, 20), 0, 1)
            gain *= ramp if rng.random() < 0.5 else (1 - ramp * rng.uniform(0.3, 0.8))
    gamma = 1.0 if clean or rng.random() < 0.5 else rng.uniform(0.75, 1.4)
    still = (rng.random(n) < rng.choice([0, 0, 0, 0.02, 0.1, 0.3], p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05])).astype(np.int64)
    return {
        "gain": gain.astype(np.float32), "lift": lift, "still": still * (not clean),
        "curves": np.tile((255 * (np.arange(1024) / 1023) ** gamma).astype(np.float32), (shots, 1)),
        "soft": np.full(shots, height / 60 + rng.uniform(0.3, 3.0), np.float32),
        "blur": np.full(shots, 0.0 if clean or rng.random() < 0.45 else rng.uniform(0.03, 0.28), np.float32),
        "lag": np.full(shots, 0.0 if clean or rng.random() < 0.65 else rng.uniform(0.05, 0.4), np.float32),
        "noise": np.full(shots, 0.0 if clean else rng.choice([0.5, 1.5, 3.0, 6.0], p=[0.4, 0.3, 0.2, 0.1]) * rng.uniform(0.3, 1.2), np.float32),
        "skip": 0.0 if clean or rng.random() < 0.5 else rng.uniform(0.5, 3.0),
    }


def draw_overlay(rng, size, channels):
    """A static logo, caption or frame edge: (h, w, channels + 1), opacity last."""
    h, w = size
    out = np.zeros((h, w, channels + 1), np.float32)
    kind = rng.random()
    if kind < 0.10:
        y, x = int(rng.uniform(0, 0.85) * h), int(rng.uniform(0, 0.8) * w)
        dh, dw = int(rng.uniform(0.04, 0.12) * h) + 1, int(rng.uniform(0.06, 0.25) * w) + 1
        out[y : y + dh, x : x + dw, :channels] = rng.choice([5, 120, 250])
        out[y : y + dh, x : x + dw, channels] = rng.random((min(dh, h - y), min(dw, w - x))) < 0.6
    elif kind < 0.16:  # letterbox or pillarbox
        bar = int(rng.uniform(0.05, 0.22) * h)
        for part in ([out[:bar], out[h - bar :]] if rng.random() < 0.5 else [out[:, :bar], out[:, w - bar :]]):
            part[..., channels] = 1.0
            part[..., :channels] = rng.choice([0, 0, 250])
    return out


def draw_light(rng):
    """Unit vector to the light in camera axes, from above and mostly from the camera's side."""
    return unit(np.array([rng.normal(0, 0.6), -abs(rng.normal(0.7, 0.4)) - 0.15, -rng.normal(0.4, 0.5)]))


def exercise_joints(rng, body, motion, plan, fps, yaw=0.0):
    """Joints (n, 20, 3) of a whole session: idle, the exercise, and the ways between them."""
    n = len(plan.u)
    moved = motion.pose(plan.u, plan.side)
    tremble = smooth_noise(rng, n, rng.uniform(0.5, 2.5) * fps, (3,)) * rng.uniform(0.0, 0.006)
    moved = moved + tremble[:, None] * np.clip(moved[:, :, 2:] / 0.5, 0, 1)
    if plan.present.min() > 0.999:
        return moved
    root = np.zeros((n, 3))
    begins = int(np.argmax(plan.present > 0))
    if begins > 0 and rng.random() < 0.5:
        walk = np.clip((begins / fps - np.arange(n) / fps) * rng.uniform(0.45, 0.9), 0, rng.uniform(0.5, 3.0))
        angle = rng.uniform(0, 2 * np.pi)
        root[:, 0], root[:, 1] = walk * np.cos(angle), walk * np.sin(angle)
        root[:, 2] = np.where(walk > 0, angle + np.pi, 0.0)
        turn = np.clip(walk / 0.3, 0, 1)
        root[:, 2] = np.angle(np.exp(1j * root[:, 2])) * turn
    elif rng.random() < 0.5:
        root[:, 2] = rng.normal(0, 0.8) * (1 - plan.present)
    idle = idles.stand_about(rng, body, n, fps, root, busy=rng.uniform(0, 0.5))
    if motion.low:
        middle = idles.crouch(body, n)
        first = blend(idle, middle, np.clip(plan.present * 2, 0, 1))
        return blend(first, moved, np.clip(plan.present * 2 - 1, 0, 1))
    return blend(idle, moved, plan.present)


def idle_joints(rng, body, n, fps):
    """Someone who does not exercise: (joints, props, whether low)."""
    kind = rng.choice(["fidget", "talk", "walk", "through", "hold", "sit", "drink", "getdown"], p=[0.16, 0.18, 0.16, 0.1, 0.2, 0.07, 0.06, 0.07])
    if kind == "hold":
        joints, low, props = idles.held_pose(rng, body, n, fps)
        return joints, props, low
    if kind == "sit":
        return idles.sit_down(rng, body, n, fps), [], False
    if kind == "drink":
        return idles.drink(rng, body, n, fps), [], False
    if kind in ("walk", "through"):
        return idles.stand_about(rng, body, n, fps, idles.walk_path(rng, n, fps, kind == "through"), busy=rng.uniform(0, 0.5)), [], False
    if kind == "getdown":
        motion = MOTIONS[str(rng.choice([f for f in FAMILIES if f != "any"]))](rng, body)
        plan = draw_timeline(rng, n, fps, motion, reps=0, lead_s=rng.uniform(2, 6))
        return exercise_joints(rng, body, motion, plan, fps), motion.props, motion.low
    root = np.zeros((n, 3))
    root[:, 2] = smooth_noise(rng, n, 4 * fps) * 0.5
    return idles.stand_about(rng, body, n, fps, root, busy=rng.uniform(0.0, 0.3) if kind == "fidget" else rng.uniform(0.5, 1.0)), [], False


def compose(rng, n, fps, kind, size=(SIZE, SIZE), channels=1, reps=None, period_s=None, lead_s=None, showpiece=False):
    """One scene of n frames, kind a family or "none"; a showpiece is bright, steady and all in view."""
    body = draw_body(rng)
    film = Film(rng, n, fps, size, channels)
    zero = np.zeros(n, np.float32)
    plan = Timeline(zero, zero, zero, zero, zero, zero, [])
    joints, props, low = np.zeros((n, N_JOINTS, 3)), [], False
    empty = kind == "none" and rng.random() < 0.22
    if kind == "none":
        if not empty:
            joints, props, low = idle_joints(rng, body, n, fps)
        focus = joints[:: max(1, n // 8)].reshape(-1, 3) if not empty else np.array([[0.2, 0.2, 0], [-0.2, -0.2, 1.0]])
    else:
        motion = MOTIONS[kind](rng, body)
        plan = draw_timeline(rng, n, fps, motion, reps, lead_s, period_s)
        joints, props, low = exercise_joints(rng, body, motion, plan, fps), motion.props, motion.low
        ends = np.array([0.0, 0.0, 0.5, 1.0, 1.0])
        shown = motion.pose(ends, np.array([0, 1, 0, 0, 1]))
        if motion.upper and rng.random() < 0.4:  # often filmed from the thighs up
            shown = shown[:, [HEAD, *range(ANKLE - 2)]]
        focus = np.concatenate([shown.reshape(-1, 3), shown[:, HEAD] + [0, 0, 0.08]])
        if rng.random() < 0.35 and plan.present.min() < 0.5 and low:  # leave room for the standing figure too
            focus = np.concatenate([focus, [[0.0, 0.0, 1.0]]])
    shots = 2 if not showpiece and rng.random() < 0.05 else 1
    view = (rng.uniform(0.5, 1.1) * rng.choice([-1, 1]), np.deg2rad(14), 3.2, 0.82) if showpiece else None
    cameras = [draw_camera(rng, focus, low, size[1] / size[0] if showpiece else 1.0, view) for _ in range(shots)]
    textures, lights = [], []
    side = 116 if size[0] <= SIZE else int(size[0] * MARGIN)
    for camera in cameras:
        mat = None
        if rng.random() < (0.5 if low else 0.2) or (showpiece and low):
            mat = (rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.35), rng.normal(0, 0.15), rng.uniform(20, 230), -0.35 if low else 0.0)
        luma, tint = backdrops.paint(rng, camera.position, camera.directions((side, side * size[1] // size[0])), mat, "home" if showpiece else None)
        if channels == 1:
            textures.append(luma[..., None])
        else:
            textures.append(np.clip(luma[..., None] * tint, 0, 255))
        lights.append(draw_light(rng))
    if not empty:
        h, w = textures[0].shape[:2]
        outfit = draw_outfit(rng, textures[0][h // 3 : 2 * h // 3, w // 3 : 2 * w // 3].mean())
        film.figure(joints, body, outfit)
        for p in props:
            film.prop(p, joints)
        if not showpiece and rng.random() < 0.06:  # a mirror on a wall behind: the same figure, turned over
            mirrored = joints * np.array([1.0, -1.0, 1.0])
            swap = np.arange(N_JOINTS)
            swap[4::2], swap[5::2] = np.arange(5, N_JOINTS, 2), np.arange(4, N_JOINTS, 2)
            film.figure(place(mirrored[:, swap], 0.0, rng.uniform(0.8, 1.6) * rng.choice([-1, 1]), 0.0), body, outfit, rng.uniform(0.6, 0.9), False)

    crowd = 0 if showpiece else int(rng.choice([0, 1, 2], p=[0.82, 0.13, 0.05]))
    for _ in range(crowd):
        other = draw_body(rng)
        away = unit(cameras[0].axes[2][:2]) * rng.uniform(0.7, 2.5) + cameras[0].axes[0][:2] * rng.normal(0, 1.0)
        walk = idles.walk_path(rng, n, fps, True) if rng.random() < 0.5 else np.broadcast_to([0, 0, rng.uniform(0, 6)], (n, 3)).copy()
        walk[:, :2] += away
        film.figure(idles.stand_about(rng, other, n, fps, walk, rng.uniform(0, 1)), other, draw_outfit(rng), 0.9, False)
    if not showpiece and rng.random() < (0.3 if kind == "none" else 0.1):
        for p in restless_things(rng, n, fps, cameras[0]):
            film.prop(p, joints)
    if not film.parts:  # the renderer wants at least one cone: one behind the camera is never drawn
        film.prop(lambda j: (np.full((n, 3), 1e3) * cameras[0].axes[2] * -1, np.full((n, 3), 1e3) * cameras[0].axes[2] * -1, 0.01, 0.0), joints)

    shot = np.zeros(n, np.int64)
    if shots == 2:
        shot[int(rng.uniform(0.2, 0.8) * n) :] = 1
    effects = draw_effects(rng, n, shots, size[0], showpiece)
    dim = float(np.mean([t.mean() for t in textures])) * float(effects["gain"].mean())
    if dim < 45 and rng.random() < 0.85:  # cameras set their exposure, so really dark films are rare
        effects["gain"] *= rng.uniform(1.0, 2.0) * 45 / max(dim, 12)
    shake = camera_shake(rng, n, fps) if not showpiece else np.broadcast_to(np.eye(3)[:2], (n, 2, 3)).copy()
    contrast = np.full(shots, rng.uniform(0.15, 0.75), np.float32)
    shade = np.full(shots, rng.choice([0.0, 0.2, 0.45, 0.65], p=[0.15, 0.3, 0.35, 0.2]), np.float32)
    overlay = draw_overlay(rng, size, channels) if not showpiece else np.zeros((*size, channels + 1), np.float32)
    frames = film.shoot(cameras, np.stack(textures).astype(np.float32), shot, shake, lights, contrast, shade, overlay, effects)

    pose = np.zeros((n, 11, 2), np.float32)
    if not empty:
        for k, camera in enumerate(cameras):
            at = shot == k
            pose[at] = shaken(shake[at], camera.project(joints[at][:, POSE_JOINTS])[0])
    return {
        "frames": frames, "rep_end_s": plan.rep_end_s, "active": plan.active.astype(np.float32), "phase": plan.phase.astype(np.float32),
        "period_s": plan.period_s.astype(np.float32), "pose": np.clip(pose, -1, 1).reshape(n, 22), "family": kind,
    }


def video_scene(rng, seconds, kind=None):
    """A random scene at 10 frames a second.

    frames (n, 80, 80) uint8 luma; rep_end_s, seconds at which a repetition was completed; active (n) 1 while exercising;
    phase (n) 0..1 through a repetition; period_s (n) its length; pose (n, 22) x and y in [-1, 1] of the head, neck, pelvis and
    both elbows, wrists, knees and ankles; family, one of FAMILIES or "none".
    """
    if kind is None:
        kind = "none" if rng.random() < NONE_SHARE else str(rng.choice(FAMILIES, p=WEIGHTS / WEIGHTS.sum()))
    scene = compose(rng, round(FPS * seconds), FPS, kind)
    scene["frames"] = scene["frames"][..., 0]
    return scene


def write_png(path, image):
    """Writes image (h, w) or (h, w, 3) uint8 as a PNG."""
    h, w = image.shape[:2]
    raw = b"".join(b"\0" + image[y].tobytes() for y in range(h))

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = w.to_bytes(4, "big") + h.to_bytes(4, "big") + bytes([8, 2 if image.ndim == 3 else 0, 0, 0, 0])
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def contact_sheet(path, seed, kinds, columns=16, step=2):
    """One row per scene: every step-th frame; a white bar at the bottom marks the frame in which a repetition ends."""
    rows = []
    for k, kind in enumerate(kinds):
        scene = video_scene(np.random.default_rng([seed, k]), 16, kind)
        ends = {int(np.ceil(t * FPS / step)) for t in scene["rep_end_s"]}
        first = 20
        tiles = []
        for c in range(columns):
            tile = scene["frames"][first + c * step].copy()
            if first // step + c in ends:
                tile[-5:] = 255
            tile[:, -1] = 0
            tiles.append(tile)
        rows.append(np.concatenate(tiles, 1))
    write_png(path, np.concatenate(rows))


if __name__ == "__main__":
    contact_sheet(sys.argv[1] if len(sys.argv) > 1 else "sheet.png", int(sys.argv[2]) if len(sys.argv) > 2 else 0, FAMILIES + ("none",))
