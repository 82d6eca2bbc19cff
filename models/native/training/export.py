"""Writes a trained model, or the mean of several's weights, as a checkpoint folder, and a small fixture by which the runtime is held to this network.

    python export.py runs/a/last.pt [runs/b/last.pt ...] ../shipped [--speak-bias 0.5]
    python export.py --fixture ../../../tests/fixtures/native-tiny
"""

import argparse
import json
import os
import random
import shutil

import numpy as np
import torch
from features import dmel_levels, video_features
from model import Native, load_config
from safetensors.numpy import save_file
from scenarios import video_sample
from sequences import NEXT, YIELD
from train import CONFIG, TOKENIZER, Maker, collate


def write_checkpoint(model: Native, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.numpy() for k, v in model.tensors().items()}, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(model.c, f, indent=2)
        f.write("\n")
    if os.path.abspath(TOKENIZER) != os.path.abspath(os.path.join(folder, "tokenizer.json")):
        shutil.copy(TOKENIZER, folder)


def mean_weights(paths: list[str]) -> dict[str, torch.Tensor]:
    """Runs that go on from one another lie close enough for the mean of their weights to be a network, often a better one (Wortsman et al., 2022)."""
    states = [torch.load(path)["model"] for path in paths]
    return {name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype) for name, value in states[0].items()}


def shrink(config: dict) -> dict:
    """The shipped shape at the smallest widths that still exercise every part."""
    small = {**config, "name": "native/tiny", "dim": 64, "nLayers": 2, "nHeads": 4, "nKvHeads": 2, "headDim": 16, "ffDim": 96}
    small["rotaryLog2"] = config["rotaryLog2"][:: config["headDim"] // small["headDim"]]
    folds = [dict(f) for f in config["video"]["folds"]]
    for fold in folds:
        fold["out"] = 64 if fold is folds[-1] else 32
    small["video"] = {**config["video"], "folds": folds}
    small["memory"] = {"perceptionTurns": 6, "toldTokens": 32, "saidTokens": 8}
    return small


def write_fixture(folder: str) -> None:
    """A tiny random network with one sample of every kind of input: what each token is, and the logits after it."""
    torch.manual_seed(7)
    model = Native(shrink(load_config(CONFIG)))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    write_checkpoint(model, folder)
    maker, rng = Maker(None, 3), np.random.default_rng(5)
    frames = (rng.random((40, 8, 8)).repeat(10, 1).repeat(10, 2) * 255).astype(np.uint8)
    scene = {"frames": frames, "rep_end_s": [1.0, 2.2, 3.1], "family": "squat", "active": np.ones(40, np.float32), "phase": np.zeros(40, np.float32), "period_s": np.ones(40, np.float32), "pose": np.zeros((40, 22), np.float32)}
    pcm = (rng.standard_normal(16000 * 4) * np.linspace(0.001, 0.3, 16000 * 4)).astype(np.float32)
    sample = video_sample(maker.codec, random.Random(11), scene, dmel_levels(pcm))
    batch = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in collate([sample]).items()}
    with torch.no_grad():
        logits = model.logits(model(batch))[0].numpy()
    save_file({"kind": np.array(sample.kind, np.int32), "ident": np.array(sample.ident, np.int32), "pos": np.array(sample.pos, np.int32),
               "levels": sample.levels, "luma": frames, "pcm": pcm, "features": video_features(frames), "logits": logits}, os.path.join(folder, "sequence.safetensors"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs="*", help="one checkpoint or more, and the folder to write")
    parser.add_argument("--fixture")
    parser.add_argument("--speak-bias", type=float, default=0.0, help="taken off the logit of silence: more numbers, said sooner")
    parser.add_argument("--yield-bias", type=float, default=0.0, help="added to the logit of giving way; choose both on generated data (thresholds.py)")
    args = parser.parse_args()
    if args.fixture:
        write_fixture(args.fixture)
    elif len(args.paths) < 2:
        parser.error("expected CHECKPOINT... FOLDER")
    else:
        *checkpoints, folder = args.paths
        model = Native(load_config(CONFIG))
        model.load_state_dict(mean_weights(checkpoints))
        with torch.no_grad():
            model.head_bias[NEXT] -= args.speak_bias
            model.head_bias[YIELD] += args.yield_bias
        write_checkpoint(model, folder)
