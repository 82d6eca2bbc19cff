"""Trains the native model on generated sessions.

    python train.py --bank DIR --minutes 90 --out runs/a        (then: python export.py runs/a/last.pt ../shipped)

All data are generated while training runs (see scenarios.py, scenes.py, sounds.py) and a scene is seen
at most three times, in another light. The learning rate follows the share of --minutes that has passed, so that the schedule ends whatever the machine's speed.
"""

import argparse
import json
import os
import random
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from features import dmel_levels, patches, video_features
from model import Native, load_config
from muon import Muon
from safetensors.torch import load_file
from scenarios import audio_sample, text_sample, video_sample
from sequences import CLOCK, NEXT, Codec, Sample

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG, TOKENIZER = os.path.join(HERE, "../shipped/config.json"), os.path.join(HERE, "../shipped/tokenizer.json")
VIDEO_CONFIG = load_config(CONFIG)["video"]
TILES = (VIDEO_CONFIG["width"] // VIDEO_CONFIG["tile"]) * (VIDEO_CONFIG["height"] // VIDEO_CONFIG["tile"])


def collate(samples: list[Sample]) -> dict[str, np.ndarray]:
    n = max(len(s.kind) for s in samples)

    def padded(name, fill, dtype):
        out = np.full((len(samples), n), fill, dtype)
        for i, s in enumerate(samples):
            out[i, : len(s.kind)] = getattr(s, name)
        return out

    batch = {
        "kind": padded("kind", -1, np.int64), "ident": padded("ident", 0, np.int64), "pos": padded("pos", 0, np.int64),
        "target": padded("target", -1, np.int64), "weight": padded("weight", 0, np.float32), "given": padded("given", False, bool),
        "wait": padded("wait", -1, np.int64), "count": padded("count", -1, np.int64),
    }
    for i, s in enumerate(samples):  # padding looks at nothing but itself and is looked at by nobody
        batch["pos"][i, len(s.kind) :] = s.pos[-1] + 1 + np.arange(n - len(s.kind))
    if samples[0].levels is not None:
        batch["levels"] = np.concatenate([s.levels for s in samples])
    if samples[0].luma is not None:
        f = np.concatenate([veiled(perceived(video_features(s.luma), s.pairs), i) for i, s in enumerate(samples)])
        batch["patches"] = patches(f, VIDEO_CONFIG["tile"], VIDEO_CONFIG["folds"][0]["h"])
    for name in samples[0].labels:
        batch["label_" + name] = np.concatenate([s.labels[name] for s in samples]).astype(np.float32)
    if samples[0].labels:  # where the clock token of each labelled micro-turn stands, in the flattened batch
        at = []
        for i, s in enumerate(samples):
            rows = {row: j for j, row in enumerate(s.turn) if row >= 0 and s.kind[j] == CLOCK}
            turns = len(next(iter(s.labels.values())))
            at += [i * n + rows[r] for r in range(turns)]
        batch["label_at"] = np.array(at, np.int64)
    return batch


def perceived(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The frames of those pairs that are perceived, in order."""
    return features[np.stack([2 * pairs, 2 * pairs + 1], 1).reshape(-1)]


def veiled(features: np.ndarray, i: int) -> np.ndarray:
    """Every other clip goes without its still picture, so that the network learns to rely on what moves."""
    if i % 2:
        features[..., 0] = 0
    return features


SHOWPIECES = 0.15  # share of the scenes that are drawn like a demonstration


class Maker:
    """Makes batches of each kind from a seed."""

    def __init__(self, bank: str | None, seed: int):
        self.rng, self.np_rng = random.Random(seed), np.random.default_rng(seed)
        self.codec = Codec(TOKENIZER)
        self.pool: list[tuple[dict, int]] = []  # scenes that may be shown again, and how often
        self.bank = None
        if bank:
            import sounds

            self.bank = sounds.load_banks(bank)

    def levels(self, seconds: float, kinds: list[str], weights: list[float]):
        import sounds

        scene = sounds.sound_scene(self.np_rng, self.bank, seconds, self.rng.choices(kinds, weights)[0])
        return dmel_levels(scene["pcm"]), scene["speech"]

    def video(self, size: int, with_audio: bool) -> dict:
        seconds = self.rng.choice([16, 16, 16, 20, 40])
        samples = []
        for _ in range(max(1, size * 16 // seconds)):
            scene = self.scene(seconds)
            levels, speech = None, []
            if with_audio:
                levels, speech = self.levels(seconds, ["silence", "noise", "music", "speech", "mixed", "cough"], [2, 2, 1, 3, 1, 0.5])
            samples.append(video_sample(self.codec, self.rng, scene, levels, speech, TILES))
        return collate(samples)

    def scene(self, seconds: int) -> dict:
        """A new scene one time in three, else one seen before in another light and perhaps mirrored: drawing costs more than learning."""
        import scenes

        known = [i for i, (s, _) in enumerate(self.pool) if len(s["frames"]) == seconds * 10]
        if len(self.pool) < 30 or not known or self.rng.random() < 0.34:
            draw = scenes.showpiece_scene if self.rng.random() < SHOWPIECES else scenes.video_scene
            scene = draw(self.np_rng, seconds)
            self.pool.append((scene, 2))
            return scene
        i = self.rng.choice(known)
        scene, left = self.pool[i]
        if left > 1:
            self.pool[i] = (scene, left - 1)
        else:
            self.pool.pop(i)
        frames, pose = scene["frames"].astype(np.float32), scene["pose"].copy()
        if self.rng.random() < 0.5:
            frames, pose[:, 0::2] = frames[:, :, ::-1], -pose[:, 0::2]
        if self.rng.random() < 0.15:
            frames = 255 - frames
        frames = (frames - 128) * self.rng.uniform(0.6, 1.3) + 128 + self.rng.uniform(-25, 25)
        frames += self.np_rng.standard_normal(frames.shape[1:], np.float32) * self.rng.uniform(0, 6)
        return {**scene, "frames": np.clip(frames, 0, 255).astype(np.uint8), "pose": pose}

    def text(self, size: int) -> dict:
        turns = self.rng.choice([120, 160, 200])
        return collate([text_sample(self.codec, self.rng, turns) for _ in range(size)])

    def audio(self, size: int) -> dict:
        seconds = self.rng.choice([8, 12])
        out = []
        for _ in range(size):
            levels, speech = self.levels(seconds, ["silence", "speech", "noise", "music", "cough", "mixed"], [0.4, 5, 2.0, 3.0, 2.2, 1.5])
            out.append(audio_sample(self.codec, self.rng, levels, speech))
        return collate(out)


def work(queue, stop, args, seed):
    torch.set_num_threads(1)
    os.nice(6)
    maker = Maker(args.bank, seed)
    k = 0
    while not stop.is_set():
        step = {"text": maker.text(args.text)}
        if args.video:
            step["video"] = maker.video(args.video, maker.bank is not None and k % 4 == 3)
        if maker.bank is not None and args.audio:
            step["audio"] = maker.audio(args.audio)
        step = {name: {key: torch.from_numpy(np.ascontiguousarray(v)) for key, v in b.items()} for name, b in step.items()}
        queue.put(step)
        k += 1


def losses(model: Native, batch: dict, speak_weight: float) -> dict[str, torch.Tensor]:
    """Token loss and auxiliary losses of one batch."""
    hidden = model(batch)
    flat = hidden.reshape(-1, hidden.shape[-1])
    at = ((batch["target"] >= 0) & (batch["weight"] > 0)).reshape(-1)
    logits = model.logits(flat[at]).float()
    target, weight, given = (batch[k].reshape(-1)[at] for k in ("target", "weight", "given"))
    silence = F.one_hot(torch.tensor(NEXT), logits.shape[1]).bool()
    logits = logits.masked_fill(given[:, None] & silence, -1e4)
    ce = F.cross_entropy(logits, target, reduction="none")
    weight = weight * torch.where(target == NEXT, 1.0, speak_weight)
    is_clock = batch["kind"].reshape(-1)[at] == CLOCK
    out = {"token": (ce * weight).sum() / max(1.0, float(weight.sum()))}
    with torch.no_grad():
        right = logits.argmax(1) == target
        for name, m in (("silent", is_clock & (target == NEXT)), ("speak", is_clock & (target != NEXT)), ("word", ~is_clock)):
            if m.any():
                out["acc_" + name] = right[m].float().mean()
    for name, head in (("wait", model.wait), ("count", model.tally)):
        at = (batch[name] >= 0).reshape(-1)
        if at.any():
            out[name] = F.cross_entropy(head(flat[at]).float(), batch[name].reshape(-1)[at])
    if "label_at" in batch:
        aux = model.aux(flat[batch["label_at"]]).float()
        if "label_event" in batch:
            active = batch["label_active"]
            phase = batch["label_phase"] * 2 * np.pi
            mass = active.sum().clamp(min=1)
            out["event"] = F.binary_cross_entropy_with_logits(aux[:, 0], batch["label_event"], pos_weight=torch.tensor(2.0))
            out["active"] = F.binary_cross_entropy_with_logits(aux[:, 1], active)
            out["phase"] = (((aux[:, 2] - phase.cos()) ** 2 + (aux[:, 3] - phase.sin()) ** 2) * active).sum() / mass
            out["period"] = ((aux[:, 4] - batch["label_period"].clamp(0.3, 10).log()) ** 2 * active).sum() / mass
            out["stem_pose"] = F.smooth_l1_loss(model.posed, batch["label_pose"].clamp(-2, 2), beta=0.1)
            out["pose"] = F.smooth_l1_loss(aux[:, 6:], batch["label_pose"].clamp(-2, 2), beta=0.1)
        if "label_speech" in batch:
            out["speech"] = F.binary_cross_entropy_with_logits(aux[:, 5], batch["label_speech"])
    return out


SHARE = {"video": 2.0, "text": 2.0, "audio": 0.7}
HOLD = 0.2  # share of the run at the full learning rate; from there it falls to nothing in a straight line
AUX = {"token": 1.0, "event": 0.5, "active": 0.15, "phase": 0.3, "period": 0.05, "pose": 1.0, "stem_pose": 2.0, "speech": 0.3, "wait": 0.3, "count": 0.1}


def average_gradients(params: list[torch.Tensor], ranks: int) -> None:
    """Sums the gradients of all processes into each, divided by their number; one message for the whole network."""
    for p in params:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.reshape(-1) for p in params])
    dist.all_reduce(flat)
    flat /= ranks
    at = 0
    for p in params:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p))
        at += p.numel()


def train(rank: int, args) -> None:
    """One of --ranks processes: each learns from batches of its own with one thread, and all keep the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    dist.init_process_group("gloo", init_method="file://" + os.path.abspath(os.path.join(args.out, "ranks")), rank=rank, world_size=args.ranks)
    model = Native(load_config(CONFIG))
    if args.init:
        if os.path.isdir(args.init):
            model.take(load_file(os.path.join(args.init, "model.safetensors")))
        else:
            model.load_state_dict(torch.load(args.init)["model"], strict=False)  # a head that is new begins anew
    matrices = [p for layer in model.layers for p in layer.parameters() if p.ndim == 2] + list(model.folds)
    ids = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in ids]
    if args.video:
        model.see = torch.compile(model.see, dynamic=False)  # twice as fast: the norms and activations fuse
    optimisers = [(Muon(matrices, lr=args.lr, weight_decay=0.01), args.lr),
                  (torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0), args.lr * 0.15)]
    queue, stop = mp.Queue(4), mp.Event()
    worker = mp.Process(target=work, args=(queue, stop, args, args.seed * 1000 + rank), daemon=True)
    worker.start()
    step, seen = 0, {}
    log = open(os.path.join(args.out, f"log{rank}.jsonl"), "a")

    def save():
        if rank == 0:
            torch.save({"model": model.state_dict(), "step": step, "args": vars(args)}, os.path.join(args.out, "part.pt"))
            os.replace(os.path.join(args.out, "part.pt"), os.path.join(args.out, "last.pt"))

    while True:
        waited = time.time()
        batches = queue.get()
        waited = time.time() - waited
        if step == 0:
            began = saved = time.time()
        clock = torch.tensor([time.time() - began])
        dist.broadcast(clock, 0)  # all must follow the same schedule
        progress = float(clock) / 60 / args.minutes
        if progress >= 1:
            break
        scale = min(1, (step + 1) / 60) * min(1, max(0.0, 1 - progress) / (1 - HOLD))
        for p in model.parameters():
            p.grad = None
        for name, batch in batches.items():
            parts = losses(model, batch, args.speak_weight)
            total = SHARE[name] * sum(AUX[k] * v for k, v in parts.items() if k in AUX)
            total.backward()
            for k, v in parts.items():
                seen.setdefault(f"{name}.{k}", []).append(float(v.detach()))
        average_gradients(list(model.parameters()), args.ranks)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimiser, lr in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr * scale
            optimiser.step()
        step += 1
        seen.setdefault("wait", []).append(waited)
        if step % 20 == 0:
            line = {"step": step, "minutes": round((time.time() - began) / 60, 2), **{k: round(float(np.mean(v)), 4) for k, v in seen.items()}}
            log.write(json.dumps(line) + "\n")
            log.flush()
            seen = {}
        if time.time() - saved > 180:
            saved = time.time()
            save()
    save()
    stop.set()
    worker.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--bank", help="folder of sounds.py build; without it nothing is heard")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", help="what to go on from: a last.pt, or a checkpoint folder such as ../shipped")
    parser.add_argument("--video", type=int, default=4, help="samples per step and process")
    parser.add_argument("--text", type=int, default=4)
    parser.add_argument("--audio", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.015)
    parser.add_argument("--speak-weight", type=float, default=2.0)
    parser.add_argument("--ranks", type=int, default=2, help="processes; each keeps about one core and a half busy")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    mp.spawn(train, (args,), args.ranks)


if __name__ == "__main__":
    main()
