"""Draws scenes of round cones over a backdrop, on one core, for luma (1 channel) or colour (3 channels).

Coordinates are pixels, x right, y down. A frame's cones come as rows (x0, y0, r0, z0, x1, y1, r1, z1) with z the depth in
front of the camera; they are drawn far to near with soft edges, so no supersampling is needed.
"""

import numpy as np
from numba import njit

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)  # plain literals would make every product double precision


@njit(cache=True, fastmath=True, inline="always")
def _cone(px, py, x0, y0, r0, x1, y1, r1):
    """(signed distance, offset x, offset y over the radius, place 0..1) of a pixel against a tapered capsule."""
    dx, dy = x1 - x0, y1 - y0
    h2 = dx * dx + dy * dy
    slope = r0 - r1
    if h2 <= slope * slope + np.float32(1e-6):
        t = ZERO if r0 >= r1 else ONE
    else:
        h = np.sqrt(h2)
        ex, ey = dx / h, dy / h
        qx, qy = px - x0, py - y0
        along = qx * ex + qy * ey
        across = abs(qy * ex - qx * ey)
        s = slope / h
        t = (along - across * s / np.sqrt(max(ONE - s * s, np.float32(1e-4)))) / h
        t = min(max(t, ZERO), ONE)
    r = max(r0 + (r1 - r0) * t, np.float32(0.05))
    ox, oy = px - (x0 + dx * t), py - (y0 + dy * t)
    d = np.sqrt(ox * ox + oy * oy)
    return d - r, ox / r, oy / r, t


@njit(cache=True, fastmath=True)
def backdrop(image, texture, view):
    """Fills image (h, w, c) from texture (H, W, c) under view (a, b, tx, c, d, ty): texture = A · pixel + t, bilinear."""
    h, w, channels = image.shape
    last_u, last_v = np.float32(texture.shape[1] - 1.001), np.float32(texture.shape[0] - 1.001)
    for y in range(h):
        row_u, row_v = view[1] * np.float32(y) + view[2], view[4] * np.float32(y) + view[5]
        for x in range(w):
            u = min(max(view[0] * np.float32(x) + row_u, ZERO), last_u)
            v = min(max(view[3] * np.float32(x) + row_v, ZERO), last_v)
            iu, iv = np.int32(u), np.int32(v)
            fu, fv = u - np.float32(iu), v - np.float32(iv)
            for c in range(channels):
                top = texture[iv, iu, c] + (texture[iv, iu + 1, c] - texture[iv, iu, c]) * fu
                low = texture[iv + 1, iu, c] + (texture[iv + 1, iu + 1, c] - texture[iv + 1, iu, c]) * fu
                image[y, x, c] = top + (low - top) * fv


@njit(cache=True, fastmath=True)
def shadow(image, mask, cones, strength, soft):
    """Darkens image by the union of cones (p, 6: x0, y0, r0, x1, y1, r1) squashed onto the floor, with soft pixels of edge."""
    h, w, channels = image.shape
    mask[:] = 0.0
    for p in range(cones.shape[0]):
        x0, y0, r0, x1, y1, r1 = cones[p]
        reach = max(r0, r1) + soft
        left, right = max(int(min(x0, x1) - reach), 0), min(int(max(x0, x1) + reach) + 2, w)
        top, low = max(int(min(y0, y1) - reach), 0), min(int(max(y0, y1) + reach) + 2, h)
        for y in range(top, low):
            for x in range(left, right):
                sd, _, _, _ = _cone(np.float32(x), np.float32(y), x0, y0, r0, x1, y1, r1)
                cover = min(max(HALF - sd / soft, ZERO), ONE)
                mask[y, x] = max(mask[y, x], cover)
    for y in range(h):
        for x in range(w):
            if mask[y, x] > 0.0:
                for c in range(channels):
                    image[y, x, c] *= ONE - strength * mask[y, x]


@njit(cache=True, fastmath=True)
def cones(image, depth, order, rows, colours, cloth, flat, facing, owner, light, contrast, inverse_focal):
    """Draws one frame's cones into image (h, w, c), depth (h, w) being the z-buffer, cleared by the caller.

    facing (f, 3) is the flat normal of each figure, owner (p) the figure of a cone (-1: shiny prop), light (3) points
    from the scene to the light in camera axes (x right, y down, z away from the camera), contrast 0..1 is its strength,
    inverse_focal 1 over the focal length in pixels.
    """
    h, w, channels = image.shape
    n = rows.shape[0]
    for i in range(n):  # insertion sort, far first: nearly sorted from the frame before
        key = order[i]
        z = rows[key, 3] + rows[key, 7]
        k = i - 1
        while k >= 0 and rows[order[k], 3] + rows[order[k], 7] < z:
            order[k + 1] = order[k]
            k -= 1
        order[k + 1] = key
    for i in range(n):
        p = order[i]
        x0, y0, r0, z0, x1, y1, r1, z1 = rows[p]
        if z0 <= 0.0 or z1 <= 0.0:
            continue
        reach = max(r0, r1) + HALF
        left, right = max(int(min(x0, x1) - reach), 0), min(int(max(x0, x1) + reach) + 2, w)
        top, low = max(int(min(y0, y1) - reach), 0), min(int(max(y0, y1) + reach) + 2, h)
        length = np.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) * np.float32(80) / np.float32(h)  # of the cloth: the same pattern at any size
        f = flat[p]
        base = ZERO
        if owner[p] >= 0:
            q = owner[p]
            side = -ONE if facing[q, 2] > 0 else ONE  # the back is as visible as the chest: its normal turns to the camera
            base = side * (facing[q, 0] * light[0] + facing[q, 1] * light[1] + facing[q, 2] * light[2])
        pattern = cloth[p]
        for y in range(top, low):
            for x in range(left, right):
                sd, nx, ny, t = _cone(np.float32(x), np.float32(y), x0, y0, r0, x1, y1, r1)
                cover = HALF - sd
                if cover <= ZERO:
                    continue
                cover = min(cover, ONE)
                bulge = np.sqrt(max(ONE - nx * nx - ny * ny, ZERO))
                z = z0 + (z1 - z0) * t - bulge * r0 * z0 * inverse_focal
                if z > depth[y, x]:
                    continue
                if cover > HALF:
                    depth[y, x] = z
                lit = nx * light[0] + ny * light[1] - bulge * light[2]
                lit = lit * (ONE - f) + base * f
                shade = ONE + contrast * (lit - np.float32(0.25))
                if pattern == 1:  # stripes across
                    if np.sin(t * length * np.float32(1.6)) < ZERO:
                        shade *= np.float32(0.6)
                elif pattern == 2:  # plaid
                    weave = np.sin(t * length * np.float32(1.9)) * np.sin((nx + ny) * np.float32(5))
                    shade *= np.float32(0.8) + np.float32(0.25) * weave
                elif pattern == 3:  # creases that move with the limb
                    shade *= ONE + np.float32(0.13) * np.sin(t * np.float32(9) + nx * np.float32(4))
                for c in range(channels):
                    colour = min(max(colours[p, c] * shade, np.float32(2)), np.float32(252))
                    image[y, x, c] += (colour - image[y, x, c]) * cover


@njit(cache=True, fastmath=True)
def soften(image, scratch, amount):
    """Blurs image (h, w, c) by a (amount, 1 - 2 amount, amount) kernel in x and in y."""
    h, w, channels = image.shape
    centre = ONE - amount - amount
    for y in range(h):
        for x in range(w):
            a, b = max(x - 1, 0), min(x + 1, w - 1)
            for c in range(channels):
                scratch[y, x, c] = image[y, x, c] * centre + (image[y, a, c] + image[y, b, c]) * amount
    for y in range(h):
        a, b = max(y - 1, 0), min(y + 1, h - 1)
        for x in range(w):
            for c in range(channels):
                image[y, x, c] = scratch[y, x, c] * centre + (scratch[a, x, c] + scratch[b, x, c]) * amount


@njit(cache=True, fastmath=True)
def expose(image, out, previous, gain, lift, curve, noise, skip, seed):
    """Camera and codec: out (h, w, c) uint8 from image by gain, lift, tone curve (1024 entries over 0..255) and noise in levels;
    blocks of 8 that changed by less than skip levels on average keep the previous frame's pixels, as a low-rate codec does."""
    h, w, channels = image.shape
    speckle = noise / np.float32(128)
    state = np.uint32(seed) * np.uint32(0x9E3779B1) + np.uint32(1)
    for y in range(h):
        for x in range(w):
            state ^= state << np.uint32(13)
            state ^= state >> np.uint32(17)
            state ^= state << np.uint32(5)
            grain = (state & np.uint32(0xFF)) + ((state >> np.uint32(8)) & np.uint32(0xFF)) + ((state >> np.uint32(16)) & np.uint32(0xFF))
            speck = (np.float32(np.int32(grain)) - np.float32(382.5)) * speckle + HALF
            for c in range(channels):
                v = min(max(image[y, x, c] * gain + lift, ZERO), np.float32(255))
                v = curve[np.int32(v * np.float32(4))] + speck
                out[y, x, c] = np.uint8(np.int32(min(max(v, ZERO), np.float32(255))))
    if skip > ZERO:
        for by in range(0, h, 8):
            for bx in range(0, w, 8):
                change = 0
                for y in range(by, min(by + 8, h)):
                    for x in range(bx, min(bx + 8, w)):
                        change += abs(np.int32(out[y, x, 0]) - np.int32(previous[y, x, 0]))
                if change < skip * np.float32(64):
                    out[by : by + 8, bx : bx + 8] = previous[by : by + 8, bx : bx + 8]


@njit(cache=True, fastmath=True)
def film(out, textures, shot, views, rows, colours, cloth, flat, facing, owner, lights, contrast, inverse_focal,
         shadows, shade, soft, still, overlay, blur, lag, gains, lifts, curves, noise, skip, seed):
    """Renders a whole scene into out (n, h, w, c) uint8; every array is as in the functions above with a frame axis first.

    soft is the width of the shadow's edge in pixels, per shot like shade, blur, lag, curves and noise; still (n) is 1 where the
    camera's own output froze; overlay (h, w, c + 1) is drawn on top with its last channel as opacity.
    """
    n, h, w, channels = out.shape
    image = np.zeros((h, w, channels), np.float32)
    scratch = np.zeros((h, w, channels), np.float32)
    mask = np.zeros((h, w), np.float32)
    depth = np.zeros((h, w), np.float32)
    order = np.arange(rows.shape[1])
    room, before = np.zeros((h, w, channels), np.float32), np.zeros((h, w, channels), np.float32)
    for i in range(n):
        if still[i] and i > 0:
            out[i] = out[i - 1]
            continue
        s = shot[i]
        if i == 0 or s != shot[i - 1] or np.any(views[i] != views[i - 1]):
            backdrop(room, textures[s], views[i])
        image[:] = room
        if shade[s] > 0.0:
            shadow(image, mask, shadows[i], shade[s], soft[s])
        depth[:] = 1e9
        cones(image, depth, order, rows[i], colours, cloth, flat, facing[i], owner, lights[s], contrast[s], inverse_focal[i])
        for y in range(h):
            for x in range(w):
                a = overlay[y, x, channels]
                if a > 0.0:
                    for c in range(channels):
                        image[y, x, c] += (overlay[y, x, c] - image[y, x, c]) * a
        if blur[s] > 0.0:
            soften(image, scratch, blur[s])
        if lag[s] > ZERO and i > 0 and shot[i - 1] == s:  # slow shutter: what was there a frame ago still shows
            for y in range(h):
                for x in range(w):
                    for c in range(channels):
                        image[y, x, c] += (before[y, x, c] - image[y, x, c]) * lag[s]
        if lag[s] > ZERO:
            before[:] = image
        hold = skip if i > 0 and shot[i - 1] == s else ZERO
        expose(image, out[i], out[max(i - 1, 0)], gains[i], lifts[i], curves[s], noise[s], hold, seed + i)
