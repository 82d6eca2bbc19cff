"""How readily a trained model gives way, over values of export.py's --yield-bias, on generated sounds of another seed.

    python thresholds.py runs/a/last.pt --bank DIR
"""

import argparse

import numpy as np
import torch
from model import Native, load_config
from scenarios import audio_sample
from sequences import CLOCK, NEXT, YIELD
from train import CONFIG, Maker, collate

BIASES = np.arange(-4, 2.01, 0.5)
IN_TIME_TURNS = 1  # micro-turns after the one in which giving way is due


def margins(model: Native, sample) -> np.ndarray:
    """Per micro-turn: the logit of giving way less the largest other one."""
    batch = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in collate([sample]).items()}
    with torch.no_grad():
        logits = model.logits(model(batch))[0]
    at = [j for j, kind in enumerate(sample.kind) if kind == CLOCK]
    own = logits[at, YIELD].clone()
    logits[:, YIELD] = -1e9
    return (own - logits[at].amax(1)).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--bank", required=True)
    parser.add_argument("--scenes", type=int, default=300)
    args = parser.parse_args()
    model = Native(load_config(CONFIG))
    model.load_state_dict(torch.load(args.checkpoint)["model"])
    maker = Maker(args.bank, 555)
    in_time, false = [], {"noise": [], "music": [], "cough": []}
    for i in range(args.scenes):
        kind = ["speech", "noise", "music", "cough", "speech", "music"][i % 6]
        levels, speech = maker.levels(12, [kind], [1])
        sample = audio_sample(maker.codec, maker.rng, levels, speech if kind == "speech" else [])
        m = margins(model, sample)
        targets = [t for t, k in zip(sample.target, sample.kind) if k == CLOCK]
        due = next((k for k, t in enumerate(targets) if t == YIELD), None)
        speaking = [k for k, t in enumerate(targets) if t not in (NEXT, YIELD)]
        if kind == "speech" and due is not None:
            in_time.append(m[due : due + IN_TIME_TURNS + 1].max())
        elif kind != "speech" and len(speaking) > 5:
            false[kind].append(m[speaking[0] + 1 : speaking[-1]].max())
    for bias in BIASES:
        said = ", ".join(f"{kind} {np.mean(np.array(v) + bias > 0):.3f}" for kind, v in false.items())
        print(f"yield bias {bias:+.1f}: in time {np.mean(np.array(in_time) + bias > 0):.3f} of {len(in_time)}; false: {said}")
