"""Writes scenes that training has never drawn, with what should be said in them, for `microturn eval scenarios DIR`.

    python heldout.py DIR [--scenes 200] [--seed 90001] [--still 600 --after start|middle]

With --still the picture stands still for so many seconds, before the exercise or in its middle: does an instruction hold, does a count survive?
"""

import argparse
import json
import os
import random
import subprocess

import numpy as np
import scenes
from scenarios import typed
from sequences import Codec, Partner
from train import TOKENIZER

QUESTIONS = ("how many", "how long")
ANSWER_WITHIN_S = 1.5
LAST_S = 0.8  # a repetition that ends within this of the film's end may be counted or not


def write_video(path: str, frames: np.ndarray) -> None:
    """(n, h, w) u8 luma at 10 frames a second, without loss."""
    n, h, w = frames.shape
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{w}x{h}", "-r", "10", "-i", "-", "-c:v", "ffv1", path]
    subprocess.run(command, input=frames.tobytes(), check=True)


def stood_still(scene: dict, after: str, still_s: int, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """The scene's frames and completions with a pause of still_s seconds at its start, or after the repetition in its middle."""
    frames, ends = scene["frames"], scene["rep_end_s"]
    begins_s = 0.1 if after == "start" or not ends else min(ends[(len(ends) - 1) // 2] + 0.3, len(frames) / 10)
    at = int(begins_s * 10)
    noise = rng.normal(0, 1.5, (8, *frames.shape[1:]))
    still = np.clip(frames[at - 1] + noise[rng.integers(0, 8, still_s * 10)], 0, 255).astype(np.uint8)
    return np.concatenate([frames[:at], still, frames[at:]]), [t if t < begins_s else t + still_s for t in ends]


def script_for(rng: random.Random, seconds: int, has_video: bool) -> list[tuple[float, str, str, object]]:
    """Typed texts in order: (seconds, text, intent, detail)."""
    script = []

    def at(time_s, intent, detail=None):
        text, intent, detail = typed(rng, intent, detail)
        script.append((round(time_s * 5) / 5, text, intent, detail))

    if has_video:
        at(0, "count")
        if rng.random() < 0.4:
            at(rng.uniform(1, 4), "remind")
    else:
        at(rng.uniform(0, 2), "remind")
    for intent in rng.sample(QUESTIONS, rng.choice([1, 2])):
        if has_video or intent != "how many":
            at(rng.uniform(seconds * 0.4, seconds - 3), intent)
    if rng.random() < 0.25:
        at(rng.uniform(seconds * 0.5, seconds - 3), rng.choice(["start over", "stop counting"] if has_video else ["stop reminding"]))
    script.sort(key=lambda entry: entry[0])
    spaced, last = [], -9.0
    for time_s, *rest in script:  # people do not type two texts at once
        last = max(time_s, last + 1.0)
        if last < seconds - 1:
            spaced.append((last, *rest))
    return spaced


def script_truth(codec: Codec, script, rep_end_s: list[float], seconds: int) -> dict:
    """What should be said, by the rules that the model was trained to find."""
    truth = {"reps": [], "due": [], "answers": []}
    partner = Partner(codec)
    reminder = None
    happenings = sorted([(t, 1, None) for t in rep_end_s] + [(t, 0, (text, intent, detail)) for t, text, intent, detail in script], key=lambda h: h[:2])
    for k in range(seconds * 5):
        for time_s, _, said in [h for h in happenings if int(h[0] * 5 + 1e-6) == k]:
            if said is None:
                if partner.counting:
                    partner.count += 1
                    ends_film = time_s > seconds - LAST_S
                    truth["reps"].append({"timeS": time_s, "count": partner.count, **({"optional": True} if ends_film else {})})
                continue
            _, intent, detail = said
            answer = codec.tokenizer.decode(partner.hear(k, intent, detail))
            if intent in QUESTIONS:
                if intent == "how long":
                    answer = answer.split(" for ")[-1]
                truth["answers"].append({"askedS": time_s, "text": answer, "byS": time_s + ANSWER_WITHIN_S})
            if intent == "remind":
                reminder = (detail, time_s + detail[1])
            elif intent in ("stop", "stop reminding"):
                reminder = None
        while reminder and reminder[1] < (k + 1) * 0.2:
            (phrase, period), due = reminder
            if due < seconds - 1:
                truth["due"].append({"timeS": due, "text": phrase})
            reminder = ((phrase, period), due + period)
    if any(intent == "start over" for _, _, intent, _ in script):
        # the last number counts: numbers before the new start are not in its way
        after = max(t for t, _, intent, _ in script if intent == "start over")
        truth["reps"] = [r for r in truth["reps"] if r["timeS"] >= after]
    return truth


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=90001)
    parser.add_argument("--still", type=int, default=0, help="seconds")
    parser.add_argument("--after", choices=["start", "middle"], default="start")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    codec = Codec(TOKENIZER)
    for i in range(args.scenes):
        rng = random.Random(args.seed + i)
        has_video = i % 4 != 3 or args.still > 0
        seconds = rng.choice([16, 20, 24]) if has_video else rng.choice([40, 60])
        name, reps, video = f"{i:03d}", [], None
        if has_video:
            scene = scenes.video_scene(np.random.default_rng(args.seed + i), seconds)
            frames, ends = scene["frames"], scene["rep_end_s"]
            if args.still:
                frames, ends = stood_still(scene, args.after, args.still, np.random.default_rng(i))
                seconds += args.still
            video, reps = f"{name}.mkv", ends
            name += "-" + scene["family"].replace(" ", "-")
            write_video(os.path.join(args.folder, video), frames)
        script = script_for(rng, seconds, has_video)
        made = {"title": name, "durationS": seconds, "video": video, "typed": [{"timeS": t, "text": text} for t, text, _, _ in script], "truth": script_truth(codec, script, reps, seconds)}
        with open(os.path.join(args.folder, f"{name}.json"), "w") as f:
            json.dump(made, f, indent=1)
