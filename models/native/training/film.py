"""Turns posed figures, props, cameras and a random film stock into frames."""

import numpy as np

import render
from cameras import MARGIN, shaken
from figures import unit
from outfits import solid
from timeline import smooth_noise


class Film:
    """Collects figures, props, shots and effects, and renders them."""

    def __init__(self, rng, n, fps, size, channels):
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
