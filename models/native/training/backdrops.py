"""What stands behind the figure: a floor in perspective, walls or open air, and things on them."""

import numpy as np


def value_noise(rng, x, y, octaves=3):
    """Smooth noise in 0..1 at coordinates x, y (any shape), one cell per unit in the first octave."""
    total, weight = 0.0, 0.0
    for k in range(octaves):
        grid = rng.random((32, 32))
        u, v = x * 2**k, y * 2**k
        iu, iv = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = u - iu, v - iv
        fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
        a, b = grid[iv % 32, iu % 32], grid[iv % 32, (iu + 1) % 32]
        c, d = grid[(iv + 1) % 32, iu % 32], grid[(iv + 1) % 32, (iu + 1) % 32]
        total = total + ((a * (1 - fu) + b * fu) * (1 - fv) + (c * (1 - fu) + d * fu) * fv) * 0.5**k
        weight += 0.5**k
    return total / weight


def _floor(rng, x, y, grey, outdoors, mat):
    """Luma of the floor at world coordinates; mat is None or (half length, half width, angle, grey, middle along it)."""
    kind = rng.choice(["noise", "grass", "slabs"] if outdoors else ["plain", "planks", "tiles", "noise", "carpet"])
    near = np.exp(-0.12 * np.hypot(x, y))
    if kind == "plain":
        luma = np.full_like(x, grey)
    elif kind == "planks":
        a = rng.uniform(0, np.pi)
        across = (x * np.cos(a) + y * np.sin(a)) / rng.uniform(0.06, 0.15)
        row = np.floor(across).astype(int)
        luma = grey * (1 + near * 0.2 * (rng.random(64)[row % 64] - 0.5) - 0.25 * near * (across - row < 0.1))
    elif kind in ("tiles", "slabs"):
        s = rng.uniform(0.25, 0.8)
        line = (np.abs((x / s) % 1 - 0.5) > 0.46) | (np.abs((y / s) % 1 - 0.5) > 0.46)
        luma = grey * (1 - rng.uniform(-0.3, 0.35) * near * line)
    else:
        scale, depth = (rng.uniform(4, 12), 0.7) if kind == "grass" else (rng.uniform(0.7, 5), rng.uniform(0.15, 0.5))
        luma = grey * (1 + depth * (0.3 + 0.7 * near) * (value_noise(rng, x * scale, y * scale) - 0.5))
    if mat is not None:
        length, width, angle, tone, middle = mat
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        luma = np.where((np.abs(u - middle) < length) & (np.abs(v) < width), tone * (1 + 0.1 * near), luma)
    return luma


def _wall(rng, u, z, grey):
    """Luma of an indoor wall at u along it and z up: windows, pictures, shelves, mirrors' frames, panels."""
    luma = grey * (1 + rng.uniform(-0.15, 0.25) * (z / 1.5 - 0.5) + rng.uniform(-0.12, 0.12) * u * 0.3)
    if rng.random() < 0.3:
        period = rng.uniform(0.15, 1.2)
        luma = luma * np.where((u / period + rng.random()) % 1 < rng.uniform(0.03, 0.5), rng.uniform(0.7, 1.25), 1.0)
    if rng.random() < 0.25:
        luma = luma * (1 + 0.5 * (value_noise(rng, u * rng.uniform(2, 9), z * rng.uniform(2, 9)) - 0.5))
    for _ in range(rng.integers(0, 7)):
        cu, w = rng.uniform(-2.2, 2.2), rng.uniform(0.08, 0.7)
        z0, h = rng.choice([0.0, rng.uniform(0.2, 1.4)]), rng.uniform(0.1, 1.2)
        inside = (np.abs(u - cu) < w) & (z > z0) & (z < z0 + h)
        edge = inside & ((np.abs(u - cu) > w - 0.025) | (z > z0 + h - 0.025))
        kind = rng.random()
        tone = rng.uniform(8, 250)
        if kind < 0.25:  # a window or lamp, often burnt out
            bars = (np.abs((u - cu) / w * rng.integers(1, 4)) % 1 < 0.06)
            luma = np.where(inside, np.where(bars, grey * 0.6, rng.uniform(200, 255)), luma)
        elif kind < 0.55:  # a rack or shelf with things on it
            nu, nz = rng.uniform(4, 18), rng.uniform(3, 12)
            pieces = rng.uniform(5, 235, (16, 16))[np.floor(z * nz).astype(int) % 16, np.floor(u * nu).astype(int) % 16]
            luma = np.where(inside, pieces * 0.7 + tone * 0.3, luma)
        else:
            luma = np.where(inside, tone * (1 + 0.15 * (z - z0)), luma)
        luma = np.where(edge & (kind > 0.1), luma * 0.6, luma)
    if rng.random() < 0.5:
        luma = np.where(z < rng.uniform(0.03, 0.1), luma * rng.uniform(0.5, 1.3), luma)
    return luma


def _outside(rng, angle, height, grey):
    """Luma of open air: sky, then trees or buildings up to a ragged line, by angle around and height of the ray."""
    sky = rng.uniform(150, 252) * (1 - 0.25 * np.clip(height, 0, 1)) * (1 + 0.15 * (value_noise(rng, angle * 3, height * 8) - 0.5))
    line = rng.uniform(0.02, 0.6) + 0.15 * value_noise(rng, angle * rng.uniform(2, 9), angle * 0 + 0.5)
    if rng.random() < 0.6:
        rough = rng.uniform(8, 40)
        things = grey * (0.5 + 1.1 * value_noise(rng, angle * rough, height * rough, 4))
    else:
        cells = rng.uniform(0.5, 1.3, (16, 16))[np.floor(height * 20).astype(int) % 16, np.floor(angle * 8).astype(int) % 16]
        things = rng.uniform(60, 200) * cells
    return np.where(height < line, things, sky)


def _clutter(rng, luma):
    """Furniture, machines, cables and plants as blocks, bars and blobs of many sizes, drawn into luma (h, w) in place."""
    h, w = luma.shape
    yy, xx = np.mgrid[:h, :w]
    level = rng.uniform(0.3, 0.75) * h  # where most things stand
    busy = rng.uniform(0, 1)
    for _ in range(int(3 + 45 * busy**2)):
        tone = rng.uniform(5, 250)
        cx, foot = rng.uniform(0, w), level + rng.normal(0, 0.06) * h
        dw, dh = w * float(np.exp(rng.uniform(-4.2, -1.6))), h * float(np.exp(rng.uniform(-3.6, -1.1)))
        kind = rng.random()
        x0, x1, y0, y1 = int(cx - dw / 2), int(cx + dw / 2) + 1, int(foot - dh), int(foot) + 1
        x0, y0 = max(x0, 0), max(y0, 0)
        if x1 <= x0 or y1 <= y0:
            continue
        patch = luma[y0:y1, x0:x1]
        if kind < 0.55:
            fade = np.linspace(rng.uniform(0.7, 1.3), 1.0, patch.shape[0])[:, None]
            patch[:] = tone * fade
            if rng.random() < 0.3 and patch.shape[0] > 4:
                patch[:: int(rng.integers(2, 6))] = rng.uniform(5, 250)
        elif kind < 0.8:
            slant = rng.normal(0, 0.4)
            line = np.abs((xx[y0:y1] - cx) - slant * (yy[y0:y1] - foot)) < max(0.5, dw * 0.08)
            luma[y0:y1][line] = tone
        else:
            u = (xx[y0:y1, x0:x1] - cx) / (dw / 2 + 0.5)
            v = (yy[y0:y1, x0:x1] - (y0 + y1) / 2) / (dh / 2 + 0.5)
            inside = u * u + v * v < 1
            patch[inside] = (tone * (1 - 0.3 * v) * rng.uniform(0.7, 1.3, patch.shape))[inside]


def paint(rng, camera, directions, mat=None, flavour=None):
    """Luma and tint (h, w, 3) seen along directions (h, w, 3) from camera (3); flavour "home" keeps to a plain bright room."""
    outdoors = rng.random() < 0.25 if flavour is None else False
    floor_grey = rng.uniform(25, 215) if flavour is None else 150.0
    wall_grey = rng.uniform(20, 245) if flavour is None else 205.0
    dz = directions[..., 2]
    hits = dz < -1e-3
    t_floor = np.where(hits, -camera[2] / np.minimum(dz, -1e-3), 1e3)
    t_floor = np.minimum(t_floor, 60.0)
    x, y = camera[0] + directions[..., 0] * t_floor, camera[1] + directions[..., 1] * t_floor
    luma = _floor(rng, x, y, floor_grey, outdoors, mat)
    tint = np.broadcast_to(rng.uniform(0.8, 1.15, 3), directions.shape).copy()
    if outdoors:
        angle = np.arctan2(directions[..., 1], directions[..., 0])
        height = dz / np.hypot(directions[..., 0], directions[..., 1])
        away = height > -0.02
        luma = np.where(away, _outside(rng, angle, height, wall_grey), luma)
        tint[away] = rng.uniform(0.85, 1.15, 3)
    else:
        centre = directions[directions.shape[0] // 2, directions.shape[1] // 2]
        heading = np.arctan2(centre[1], centre[0])
        turn = rng.normal(0, 0.25)
        t_best = t_floor
        for wall in range(2 if rng.random() < 0.4 else 1):
            turn_now = heading + turn + (wall * rng.choice([-1, 1]) * np.pi / 2)
            normal = np.array([np.cos(turn_now), np.sin(turn_now)])
            distance = rng.uniform(0.35, 2.5) if wall == 0 else rng.uniform(0.8, 2.5)
            approach = directions[..., :2] @ normal
            t = np.where(approach > 1e-3, (distance - camera[:2] @ normal) / np.maximum(approach, 1e-3), 1e3)
            t = np.where(t <= 0, 1e3, t)
            px, py = camera[0] + directions[..., 0] * t, camera[1] + directions[..., 1] * t
            u = np.clip(py * normal[0] - px * normal[1], -20, 20)
            z = np.clip(camera[2] + dz * t, -1, 20)
            seen = t < t_best
            luma = np.where(seen, _wall(rng, u, z, wall_grey * (1.0 if wall == 0 else rng.uniform(0.7, 1.1))), luma)
            tint[seen] = rng.uniform(0.85, 1.12, 3)
            t_best = np.minimum(t_best, t)
            if wall == 0 and rng.random() < 0.3:
                high = z > rng.uniform(1.4, 2.0)
                luma = np.where(seen & high, rng.uniform(60, 250) * np.where((u * 1.3) % 1 < 0.2, 1.3, 1.0), luma)
    h, w = luma.shape
    if flavour is None and rng.random() < 0.55:
        _clutter(rng, luma)
    if flavour is None and rng.random() < 0.4:  # light falls off towards one side
        gx, gy = np.linspace(-1, 1, w)[None], np.linspace(-1, 1, h)[:, None]
        a = rng.uniform(0, 2 * np.pi)
        luma = luma * (1 + rng.uniform(0.1, 0.45) * (gx * np.cos(a) + gy * np.sin(a)))
    return np.clip(luma, 0, 255), tint
