"""Converts PersonaPlex voices from the published pickles to safetensors, once and offline.

    pip install torch safetensors
    tar xzf voices.tgz
    python convert.py voices/*.pt --to voices

A pickle can run code when it is read. `weights_only=True` refuses everything but tensors, and what comes out is checked
against what a voice is: `embeddings` [frames, 1, 1, dim], what the network is given in the place of the embeddings of the
voice's frames, and `cache` [1, streams, steps], the tokens kept after them. The runtime reads the result under the same two
names: `embeddings` as F32, which holds BF16 exactly, and `cache` as I64.
"""

import argparse
import pathlib
import sys

import torch
from safetensors.torch import save_file


def convert(voice):
    """The tensors of one published voice, checked; raises ValueError for anything else."""
    if not isinstance(voice, dict) or set(voice) != {"embeddings", "cache"}:
        raise ValueError("expected a dictionary of embeddings and cache")
    embeddings, cache = voice["embeddings"], voice["cache"]
    if not all(isinstance(tensor, torch.Tensor) for tensor in (embeddings, cache)):
        raise ValueError("expected two tensors")
    if embeddings.dim() != 4 or embeddings.shape[1:3] != (1, 1) or not embeddings.is_floating_point():
        raise ValueError(f"embeddings are {list(embeddings.shape)} {embeddings.dtype}, expected [frames, 1, 1, dim] of floats")
    if cache.dim() != 3 or cache.shape[0] != 1 or cache.is_floating_point():
        raise ValueError(f"cache is {list(cache.shape)} {cache.dtype}, expected [1, streams, steps] of integers")
    if not torch.isfinite(embeddings).all():
        raise ValueError("embeddings hold what is no number")
    return {"embeddings": embeddings.float().contiguous(), "cache": cache.long().contiguous()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voices", nargs="+", type=pathlib.Path, help="published .pt files")
    parser.add_argument("--to", type=pathlib.Path, required=True, help="folder for the .safetensors files")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    failed = False
    for path in arguments.voices:
        try:
            tensors = convert(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # Whatever a hostile file makes the reader raise, the other voices are still converted.
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        target = arguments.to / f"{path.stem}.safetensors"
        save_file(tensors, target)
        print(f"{target}: {tensors['embeddings'].shape[0]} frames")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
