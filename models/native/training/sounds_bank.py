"""Banks of short generated sounds: one flat int16 array on disk, memory-mapped, and an index of clips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLE_RATE_HZ = 16000


@dataclass
class SoundBank:
    """Clips of 16 kHz mono sound.

    pcm      (total samples) int16, memory-mapped.
    offsets  (n + 1) int64: clip i is pcm[offsets[i]:offsets[i + 1]].
    group    (n) str: the kind of clip ("word", "sentence", "texture", "event", "music", "cough").
    onset    (n) int64: first sample of the sound itself, counted from the start of the clip.
    end      (n) int64: one past its last sample, counted likewise.
    """

    pcm: np.ndarray
    offsets: np.ndarray
    group: np.ndarray
    onset: np.ndarray
    end: np.ndarray

    def __post_init__(self):
        self._members = {str(g): np.flatnonzero(self.group == g) for g in np.unique(self.group)}

    def __len__(self):
        return len(self.group)

    def members(self, group):
        """Indices of the clips of one group; a KeyError if the bank has none."""
        return self._members[group]

    def clip(self, index):
        """The whole clip as float32 in [-1, 1]: a copy."""
        piece = self.pcm[self.offsets[index] : self.offsets[index + 1]]
        return np.asarray(piece, dtype=np.float32) / 32768

    def sound(self, index):
        """The clip from the onset to the end of its sound, float32 in [-1, 1]: a copy."""
        start = self.offsets[index]
        piece = self.pcm[start + self.onset[index] : start + self.end[index]]
        return np.asarray(piece, dtype=np.float32) / 32768


def save_bank(path, clips):
    """Writes clips, a list of (pcm float32, group, onset, end), as PATH.npy (samples) and PATH.npz (index)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lengths = [len(pcm) for pcm, _, _, _ in clips]
    samples = np.empty(sum(lengths), dtype=np.int16)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    for (pcm, _, _, _), start in zip(clips, offsets[:-1]):
        samples[start : start + len(pcm)] = np.clip(np.round(pcm * 32767), -32768, 32767)
    # Written beside and renamed: a training run that has the old bank mapped goes on with it.
    np.save(path.with_suffix(".new.npy"), samples)
    np.savez(
        path.with_suffix(".new.npz"),
        offsets=offsets,
        group=np.array([group for _, group, _, _ in clips]),
        onset=np.array([onset for _, _, onset, _ in clips], dtype=np.int64),
        end=np.array([end for _, _, _, end in clips], dtype=np.int64),
    )
    for suffix in (".npy", ".npz"):
        path.with_suffix(f".new{suffix}").replace(path.with_suffix(suffix))


def load_bank(path):
    """Opens the bank that `save_bank` wrote at PATH."""
    path = Path(path)
    with np.load(path.with_suffix(".npz")) as index:
        fields = {name: index[name] for name in ("offsets", "group", "onset", "end")}
    return SoundBank(pcm=np.load(path.with_suffix(".npy"), mmap_mode="r"), **fields)


def energy_bounds(pcm, below_peak_db=34.0):
    """First and one-past-last sample of the sound in `pcm`: frames of 10 ms, every 2.5 ms, above peak - below_peak_db."""
    frame, hop = 160, 40
    power = np.concatenate([[0.0], np.cumsum(pcm.astype(np.float64) ** 2)])
    starts = np.arange(0, max(1, len(pcm) - frame), hop)
    energy = power[np.minimum(starts + frame, len(pcm))] - power[starts]
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-below_peak_db / 10))
    # The first loud frame is loud because of its end, the last because of its start.
    onset = starts[loud[0]] + (frame - hop if loud[0] > 0 else 0)
    return int(onset), int(min(starts[loud[-1]] + hop, len(pcm)))
