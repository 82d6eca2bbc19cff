"""Cameras: where they stand, what they show, and how they shake."""

from dataclasses import dataclass

import numpy as np

from figures import unit
from timeline import smooth_noise

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


def draw_camera(rng, points, low, wide=1.0, view=None):
    """A camera that has the points (k, 3) of the figure in its frame, near or far, from any side."""
    centre = (points.min(0) + points.max(0)) / 2
    azimuth, elevation, distance, share = view or (
        rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.75),
        np.deg2rad(rng.uniform(-4, 28) if not low else rng.uniform(-2, 48)),
        float(np.exp(rng.uniform(np.log(1.1 if low else 1.5), np.log(5.0)))),
        rng.uniform(0.55, 1.0) if rng.random() < 0.75 else rng.uniform(0.3, 1.2),
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
    shift = rng.uniform(-1, 1, 2) * slack * (0.6 if view is None else 0.0)
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
