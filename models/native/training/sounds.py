"""Generated sound scenes that teach the model to give way to speech, and not to noise, music or coughs.

    python sounds.py build DIR [--speech-minutes 60] [--other-minutes 60] [--seed 0]

builds the two banks; `load_banks(DIR)` opens them, `sound_scene` draws scenes. Nothing here is a recording.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import fft

from sounds_bank import SAMPLE_RATE_HZ, SoundBank, energy_bounds, load_bank, save_bank
from sounds_body import COUGHS
from sounds_music import MUSIC
from sounds_noise import EVENTS, TEXTURES
from sounds_room import channel_response, decibels, rms, through, warp
from sounds_speech import build_speech_bank

KINDS = ("silence", "speech", "noise", "music", "cough", "mixed")


@dataclass
class Banks:
    """The two banks a scene is drawn from."""

    speech: SoundBank
    other: SoundBank


def build_noise_bank(path, minutes=60, seed=0):
    """Writes a bank of about `minutes` of textures, events, music and coughs at PATH; needs about 1 s a minute."""
    rng = np.random.default_rng(seed)
    clips = []
    for group, makers, share in (("texture", TEXTURES, 0.36), ("event", EVENTS, 0.16), ("music", MUSIC, 0.36), ("cough", COUGHS, 0.12)):
        total = 0
        while total < share * minutes * 60 * SAMPLE_RATE_HZ:
            make = makers[rng.integers(len(makers))]
            pcm = np.asarray(make(rng, rng.uniform(5, 17)) if group in ("texture", "music") else make(rng), dtype=np.float32)
            peak = np.abs(pcm).max()
            if not (peak > 0):
                continue
            clips.append((pcm * (0.9 / peak), group, 0, len(pcm)))
            total += len(pcm)
    save_bank(path, clips)
    return len(clips), sum(len(c[0]) for c in clips) / SAMPLE_RATE_HZ


def load_banks(folder):
    """Opens the banks that `python sounds.py build FOLDER` made."""
    return Banks(speech=load_bank(Path(folder) / "speech"), other=load_bank(Path(folder) / "other"))


def utterance(rng, bank):
    """One augmented utterance: (pcm with RMS 1, first sample of speech, one past the last without the reverberation)."""
    group = "word" if rng.random() < 0.55 else "sentence"
    pcm = bank.sound(int(rng.choice(bank.members(group))))
    pcm = warp(rng, pcm, rng.uniform(0.82, 1.18), rng.uniform(0, 0.08))
    length = len(pcm)
    if rng.random() < 0.5:
        # Soft compression and its opposite: recordings differ in how loud their weak sounds are.
        pcm = np.sign(pcm) * np.abs(pcm) ** rng.uniform(0.75, 1.15)
    pcm = through(rng, pcm)
    # A telephone swallows a weak first consonant: speech starts where it can be heard.
    onset, _ = energy_bounds(pcm[:length], below_peak_db=30)
    return pcm / rms(pcm[:length]), onset, length


def other_sound(rng, bank, group, strength=1.0):
    """One augmented clip of the other bank, RMS 1."""
    pcm = bank.clip(int(rng.choice(bank.members(group))))
    pcm = through(rng, warp(rng, pcm, rng.uniform(0.75, 1.3), 0.0), strength)
    return pcm / rms(pcm)


def add(track, pcm, start, fade_s=0.0):
    """Adds `pcm` to the track from sample `start` (may be negative); what lies outside is cut."""
    if fade_s > 0:
        ramp = np.linspace(0, 1, min(len(pcm), int(fade_s * SAMPLE_RATE_HZ)) + 1, dtype=np.float32)[1:]
        pcm = pcm.copy()
        pcm[: len(ramp)] *= ramp
        pcm[len(pcm) - len(ramp) :] *= ramp[::-1]
    first, last = max(0, start), min(len(track), start + len(pcm))
    if last > first:
        track[first:last] += pcm[first - start : last - start]


def add_floor(rng, track, spans):
    """What every microphone hears: faint coloured noise with at times some mains hum; or nothing; or, from a gate, only around sound."""
    if rng.random() < 0.1:
        return
    count = len(track)
    # Noise made by an FFT joins its own start without a seam, so four seconds can go round.
    size = 65536
    brown = 1 / (1 + np.arange(size // 2 + 1, dtype=np.float32) / rng.uniform(20, 2000)) ** rng.choice([0.0, 0.5, 1.0, 1.5])
    noise = fft.irfft(fft.rfft(rng.standard_normal(size, dtype=np.float32)) * brown * channel_response(rng, size, 1.5), size)
    floor = np.resize(noise * (decibels(rng.uniform(-85, -45)) / (noise.std() + 1e-9)), count)
    if rng.random() < 0.2:
        phase = np.float32(2 * np.pi * rng.choice([50, 60]) / SAMPLE_RATE_HZ) * np.arange(count, dtype=np.float32)
        floor += decibels(rng.uniform(-75, -45)) * (np.sin(phase) + rng.uniform(0, 0.7) * np.sin(3 * phase) + rng.uniform(0, 0.7) * np.sin(2 * phase))
    if rng.random() < 0.2:
        open_gate = np.zeros(count, dtype=np.float32)
        for onset, end in spans or [np.sort(rng.uniform(0, count / SAMPLE_RATE_HZ, 2))]:
            open_gate[max(0, int((onset - rng.uniform(0, 0.5)) * SAMPLE_RATE_HZ)) : int((end + rng.uniform(0, 0.5)) * SAMPLE_RATE_HZ)] = 1
        floor *= open_gate
    track += floor


def add_babble(rng, bank, track, level_db):
    """Faint talk of many people, far away: not speech to give way to."""
    for _ in range(int(rng.integers(5, 9))):
        start = int(rng.integers(-16000, len(track)))
        while start < len(track):
            pcm = bank.sound(int(rng.integers(len(bank))))
            add(track, pcm * (decibels(level_db) / rms(pcm)), start, 0.02)
            start += len(pcm)


def add_noise(rng, bank, track, level_db):
    """One to three textures that come and go, and events between them."""
    textures = int(rng.integers(0, 3))
    for _ in range(textures):
        start = int(rng.uniform(-0.4, 0.9) * len(track))
        add(track, other_sound(rng, bank, "texture") * decibels(level_db + rng.uniform(-12, 0)), start, float(rng.choice([0.003, 0.05, 1.0])))
    for _ in range(int(rng.integers(0 if textures else 2, 7))):
        start = int(rng.uniform(-0.02, 1) * len(track))
        add(track, other_sound(rng, bank, "event") * decibels(level_db + rng.uniform(-15, 3)), start)


def add_music(rng, bank, track, level_db):
    """One or two clips of music, from a random moment on, cut in or faded in."""
    start = int(rng.uniform(-0.6, 0.5) * len(track))
    while start < len(track):
        pcm = other_sound(rng, bank, "music") * decibels(level_db)
        add(track, pcm, start, float(rng.choice([0.003, 0.05, 1.0])))
        start += len(pcm) + int(rng.exponential(1.5) * SAMPLE_RATE_HZ)
        level_db += rng.uniform(-3, 3)


def add_coughs(rng, bank, track, level_db):
    """One to five coughs or the like."""
    for _ in range(int(rng.integers(1, 6))):
        add(track, other_sound(rng, bank, "cough") * decibels(level_db + rng.uniform(-8, 4)), int(rng.uniform(0, 1) * len(track)))


def add_speech(rng, bank, track, level_db):
    """Utterances at random times, at times two at once: the spans of speech in seconds, merged where they touch."""
    spans, start, talker_gap = [], rng.uniform(0, 0.75) * len(track), rng.choice([0.4, 1.5, 4.0])
    for _ in range(int(rng.choice([1, 1, 2, 3, 6]))):
        pcm, onset, length = utterance(rng, bank)
        pcm = pcm * decibels(level_db + rng.uniform(-3, 3))
        add(track, pcm, int(start))
        spans.append((int(start) + onset, int(start) + length))
        if rng.random() < 0.12:
            over, over_onset, over_length = utterance(rng, bank)
            at = int(start + rng.uniform(0, 1) * length)
            add(track, over * decibels(level_db + rng.uniform(-8, 3)), at)
            spans.append((at + over_onset, at + over_length))
        start += length + rng.exponential(talker_gap) * SAMPLE_RATE_HZ
        if start > len(track) - 4000:
            break
    merged = []
    for onset, end in sorted(spans):
        if merged and onset <= merged[-1][1] + 0.15 * SAMPLE_RATE_HZ:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([onset, end])
    return [(a / SAMPLE_RATE_HZ, min(b, len(track)) / SAMPLE_RATE_HZ) for a, b in merged if a < len(track) - 800]


def sound_scene(rng, bank, seconds, kind):
    """Draws one scene.

    rng      numpy Generator; the same state gives the same scene.
    bank     Banks, from `load_banks`.
    seconds  length of the scene.
    kind     one of KINDS. "speech" holds speech, half the time over noise or music at 5-30 dB; "mixed" holds speech and loud other
             sounds; the others hold no speech that one should give way to.
    returns  dict of pcm, (16000 * seconds) float32 in [-1, 1]; speech, [(onset_s, offset_s), ...] sorted, disjoint, without the
             reverberation; kind.
    """
    if kind not in KINDS:
        raise ValueError(f"sounds: kind is {kind!r}, expected one of {', '.join(KINDS)}")
    track = np.zeros(int(SAMPLE_RATE_HZ * seconds), dtype=np.float32)
    speech = []
    level_db = rng.uniform(-42, -14)
    if kind in ("speech", "mixed"):
        speech = add_speech(rng, bank.speech, track, level_db)
        if kind == "speech" and rng.random() < 0.5:
            add_background = add_noise if rng.random() < 0.6 else add_music
            add_background(rng, bank.other, track, level_db - rng.uniform(5, 30))
    if kind == "mixed":
        for add_other in rng.permutation([add_noise, add_music, add_coughs])[: rng.integers(1, 3)]:
            add_other(rng, bank.other, track, level_db - rng.uniform(3, 18))
    if kind == "noise":
        add_noise(rng, bank.other, track, level_db)
        if rng.random() < 0.12:
            add_babble(rng, bank.speech, track, rng.uniform(-66, -52))
    if kind == "music":
        add_music(rng, bank.other, track, level_db)
    if kind == "cough":
        add_coughs(rng, bank.other, track, level_db)
        if rng.random() < 0.3:
            add_noise(rng, bank.other, track, level_db - rng.uniform(8, 25))
    add_floor(rng, track, speech)
    if rng.random() < 0.06:
        track *= rng.uniform(1.5, 8)
    return {"pcm": np.clip(track, -1, 1), "speech": speech, "kind": kind}


def main():
    parser = argparse.ArgumentParser(description="Builds the banks of generated sounds.")
    parser.add_argument("command", choices=["build"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speech-minutes", type=float, default=60)
    parser.add_argument("--other-minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, build, minutes in (("speech", build_speech_bank, options.speech_minutes), ("other", build_noise_bank, options.other_minutes)):
        began = time.perf_counter()
        count, total = build(options.folder / name, minutes, options.seed)
        print(f"{name}: {count} clips, {total / 60:.1f} min, built in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
