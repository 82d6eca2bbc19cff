"""Synthetic video of people exercising, with exact labels: the training data for counting repetitions.

`python -m scenes sheet.png` (in this folder) writes a contact sheet of every family.
"""

import sys
import zlib

import numpy as np

import backdrops
import idles
from cameras import MARGIN, camera_shake, draw_camera, shaken
from figures import ANKLE, HEAD, N_JOINTS, POSE_JOINTS, blend, draw_body, place, unit
from film import Film, draw_effects, draw_light, draw_overlay
from motions import MOTIONS
from outfits import draw_outfit
from timeline import Timeline, draw_timeline, smooth_noise

SIZE, FPS = 80, 10
FAMILIES = tuple(MOTIONS)
WEIGHTS = np.array([2.2, 1.6, 1.3, 1.5, 1.3, 1.3, 1.2, 1.0, 1.0, 0.9, 0.4, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 1.4])
NONE_SHARE = 0.25


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
        if low and plan.present.min() < 0.5 and (showpiece or rng.random() < 0.35):  # leave room for the standing figure too
            focus = np.concatenate([focus, np.tile([[0.0, 0.0, 1.0]], (len(focus) // 10, 1))])
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

    calm = showpiece or rng.random() < 0.5  # a steady, clear film: without a share of these, learning hardly starts
    crowd = 0 if calm else int(rng.choice([0, 1, 2], p=[0.82, 0.13, 0.05]))
    for _ in range(crowd):
        other = draw_body(rng)
        away = unit(cameras[0].axes[2][:2]) * rng.uniform(0.7, 2.5) + cameras[0].axes[0][:2] * rng.normal(0, 1.0)
        walk = idles.walk_path(rng, n, fps, True) if rng.random() < 0.5 else np.broadcast_to([0, 0, rng.uniform(0, 6)], (n, 3)).copy()
        walk[:, :2] += away
        film.figure(idles.stand_about(rng, other, n, fps, walk, rng.uniform(0, 1)), other, draw_outfit(rng), 0.9, False)
    if not calm and rng.random() < (0.3 if kind == "none" else 0.1):
        for p in restless_things(rng, n, fps, cameras[0]):
            film.prop(p, joints)
    if not film.parts:  # the renderer wants at least one cone: one behind the camera is never drawn
        film.prop(lambda j: (np.full((n, 3), 1e3) * cameras[0].axes[2] * -1, np.full((n, 3), 1e3) * cameras[0].axes[2] * -1, 0.01, 0.0), joints)

    shot = np.zeros(n, np.int64)
    if shots == 2:
        shot[int(rng.uniform(0.2, 0.8) * n) :] = 1
    effects = draw_effects(rng, n, shots, size[0], calm)
    dim = float(np.mean([t.mean() for t in textures])) * float(effects["gain"].mean())
    if dim < 45 and rng.random() < 0.85:  # cameras set their exposure, so really dark films are rare
        effects["gain"] *= min(rng.uniform(1.0, 2.0) * 45 / max(dim, 12), 2.3)
    shake = camera_shake(rng, n, fps) if not calm else np.broadcast_to(np.eye(3)[:2], (n, 2, 3)).copy()
    contrast = np.full(shots, rng.uniform(0.15, 0.75), np.float32)
    shade = np.full(shots, rng.choice([0.0, 0.2, 0.45, 0.65], p=[0.15, 0.3, 0.35, 0.2]), np.float32)
    overlay = draw_overlay(rng, size, channels) if not calm else np.zeros((*size, channels + 1), np.float32)
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


def showpiece_scene(rng, seconds):
    """As video_scene: a repetition after the other, bright, steady and all in view, from a 4:3 picture squeezed into the square."""
    kind = str(rng.choice(FAMILIES, p=WEIGHTS / WEIGHTS.sum()))
    h, w = SIZE * 3 // 2, SIZE * 2
    scene = compose(rng, round(FPS * seconds), FPS, kind, (h, w), 1, int(rng.integers(2, 13)), lead_s=rng.uniform(0.5, 5), showpiece=True)
    rows, cols = (np.arange(SIZE + 1) * size // SIZE for size in (h, w))
    sums = np.add.reduceat(np.add.reduceat(scene["frames"][..., 0].astype(np.int64), rows[:-1], 1), cols[:-1], 2)
    scene["frames"] = (sums // (np.diff(rows)[:, None] * np.diff(cols))).astype(np.uint8)
    return scene


def render_rgb(rng, seconds, kind, reps=None, period_s=None, lead_s=None, fps=20):
    """A bright, steady demonstration of one family: frames (n, 240, 320, 3) uint8 RGB and rep_end_s.

    reps, period_s (of one repetition) and lead_s (before the first) are random unless given.
    """
    scene = compose(rng, round(fps * seconds), fps, kind, (240, 320), 3, reps, period_s, lead_s, showpiece=True)
    return {"frames": scene["frames"], "rep_end_s": scene["rep_end_s"], "family": kind}


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
