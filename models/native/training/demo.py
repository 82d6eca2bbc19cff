"""Makes the bundled demonstration: a figure at squats, a voice that interrupts, and what is typed.

    python demo.py ../../../deploy/demo [--seed 7]
"""

import argparse
import json
import os
import subprocess

import numpy as np
import scenes
from heldout import script_truth
from scipy.io import wavfile
from sequences import Codec
from train import TOKENIZER

SECONDS, FPS, RATE_HZ = 58, 20, 16000
TYPED = [
    (0.4, "count my squats", "count", None),
    (2.0, "remind me to breathe every 7 seconds", "remind", ("breathe", 7)),
    (21.0, "how many?", "how many", None),
    (24.0, "stop everything", "stop", None),
    (27.0, "tell me how to do a squat", "explain", "squat"),
    (40.0, "how long have i been going?", "how long", None),
    (43.0, "remind me to stretch every 4 seconds", "remind", ("stretch", 4)),
]
INTERRUPTS_AT_S, INTERRUPTION = 34.0, "Okay, okay, I have got it, thank you very much."


def speech(text: str) -> np.ndarray:
    """`text` in a synthetic voice, f32 at 16 kHz without the silence before it."""
    wav = subprocess.run(["espeak-ng", "-v", "en-gb+f2", "-s", "150", "--stdout", text], capture_output=True, check=True).stdout
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", "-", "-ar", str(RATE_HZ), "-ac", "1", "-f", "f32le", "-"], input=wav, capture_output=True, check=True).stdout
    pcm = np.frombuffer(raw, np.float32)
    return pcm[np.argmax(np.abs(pcm) > 0.02) :]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    scene = scenes.render_rgb(rng, SECONDS, "squat", reps=6, period_s=2.4, lead_s=3.5, fps=FPS)
    frames, rep_end_s = scene["frames"], [round(float(t), 2) for t in scene["rep_end_s"]]
    os.makedirs(args.folder, exist_ok=True)
    h, w = frames.shape[1:3]
    encode = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{w}x{h}", "-r", str(FPS), "-i", "-",
              "-c:v", "libx264", "-crf", "26", "-preset", "slow", "-pix_fmt", "yuv420p", os.path.join(args.folder, "scene.mp4")]
    subprocess.run(encode, input=frames.tobytes(), check=True)
    said = speech(INTERRUPTION)
    track = rng.standard_normal(SECONDS * RATE_HZ).astype(np.float32) * 0.001
    start = int(INTERRUPTS_AT_S * RATE_HZ)
    track[start : start + len(said)] += 0.6 * said
    wavfile.write(os.path.join(args.folder, "scene.wav"), RATE_HZ, (np.clip(track, -1, 1) * 32767).astype(np.int16))
    truth = script_truth(Codec(TOKENIZER), TYPED, rep_end_s, SECONDS)
    truth["speech"] = [{"startS": INTERRUPTS_AT_S, "endS": round(INTERRUPTS_AT_S + len(said) / RATE_HZ, 2)}]
    scene = {"title": "Counts squats, keeps time, explains, and gives way", "durationS": SECONDS, "video": "scene.mp4", "microphone": "scene.wav",
             "typed": [{"timeS": t, "text": text} for t, text, _, _ in TYPED], "truth": truth}
    with open(os.path.join(args.folder, "scene.json"), "w") as f:
        json.dump(scene, f, indent=1)
        f.write("\n")
