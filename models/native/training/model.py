"""The network of ../README.md in PyTorch, over whole sequences, with auxiliary heads that do not ship."""

import json
import math

import torch
import torch.nn.functional as F
from sequences import AUDIO, CLOCK, SAID, TOLD, VIDEO, WAITS
from torch import nn


def rms(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, heads = c["dim"], c["nHeads"] * c["headDim"]
        self.attention_norm = nn.Parameter(torch.ones(d))
        self.mlp_norm = nn.Parameter(torch.ones(d))
        self.qkv = nn.Parameter(torch.randn(heads + 2 * c["nKvHeads"] * c["headDim"], d) * d**-0.5)
        self.attention_out = nn.Parameter(torch.zeros(d, heads))
        self.gate_up = nn.Parameter(torch.randn(2 * c["ffDim"], d) * d**-0.5)
        self.down = nn.Parameter(torch.zeros(d, c["ffDim"]))
        self.c = c

    def forward(self, x, cos, sin, mask):
        c = self.c
        b, n, _ = x.shape
        nq, nkv, hd = c["nHeads"], c["nKvHeads"], c["headDim"]
        qkv = F.linear(rms(x, self.attention_norm, c["normEps"]), self.qkv).view(b, n, nq + 2 * nkv, hd)
        qk, v = qkv[:, :, : nq + nkv], qkv[:, :, nq + nkv :]
        lo, hi = qk.chunk(2, -1)
        qk = torch.cat([lo * cos - hi * sin, hi * cos + lo * sin], -1)
        q, k = qk[:, :, :nq].transpose(1, 2), qk[:, :, nq:].transpose(1, 2)
        k, v = (t.repeat_interleave(nq // nkv, 1) for t in (k, v.transpose(1, 2)))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + F.linear(y.transpose(1, 2).reshape(b, n, nq * hd), self.attention_out)
        gate, up = F.linear(rms(x, self.mlp_norm, c["normEps"]), self.gate_up).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.down)


class Native(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        c = self.c = config
        d, v = c["dim"], c["video"]
        tiles = (v["width"] // v["tile"]) * (v["height"] // v["tile"])
        self.text = nn.Parameter(torch.randn(c["vocabSize"], d) * 0.02)
        self.role = nn.Parameter(torch.randn(2, d) * 0.02)
        self.clock = nn.Parameter(torch.randn(61, d) * 0.02)
        self.tile = nn.Parameter(torch.randn(tiles, d) * 0.02)
        self.audio_table = nn.Parameter(torch.randn(80 * 16, d) * 0.02)
        self.audio_norm = nn.Parameter(torch.full((d,), 0.05))
        width, self.folds, self.fold_norms = 3, nn.ParameterList(), nn.ParameterList()
        for i, f in enumerate(v["folds"]):
            width *= f["t"] * f["h"] ** 2
            last = i + 1 == len(v["folds"])
            self.folds.append(nn.Parameter(torch.randn(f["out"], width) * width**-0.5 * (0.05 if last else 1.0)))
            if not last:
                self.fold_norms.append(nn.Parameter(torch.ones(f["out"])))
            width = f["out"]
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["nLayers"]))
        self.look_near()
        self.out_norm = nn.Parameter(torch.ones(d))
        self.head_bias = nn.Parameter(torch.zeros(c["vocabSize"]))
        # event, active, phase (2), log period, speech; 22 pose numbers: training only
        self.aux = nn.Linear(d, 6 + 22)
        # how long until the reminder, and where the count stands: what a clock token must work out to speak on time
        self.wait = nn.Linear(d, len(WAITS) + 2)
        self.tally = nn.Linear(d, 200)
        # the same pose from the pair's tile tokens alone: teaches the stem before attention has learnt where to look
        self.stem_pose = nn.Linear(tiles * d, 22)

    @torch.no_grad()
    def look_near(self) -> None:
        """Starts three heads of the first two layers looking at the video of this, the last and the last but one
        micro-turn: from an even gaze over 16 s the way to the newest frame is found only after hundreds of steps.
        Width 0 is made the same for all tokens; keys turn it into a mark, queries into the same mark 36 slots (clock to
        video) and n micro-turns back."""
        c = self.c
        half, constant, mark = c["headDim"] // 2, 0.1, 0.74
        for rows, share in ((self.role, 1), (self.tile, 1), (self.clock, 1 / 6)):
            rows[:, 0] = constant * share
        self.text[:, 0] = 0
        near = [i for i, w in enumerate(c["rotaryLog2"]) if 7 <= w <= 13]
        for layer in self.layers[:2]:
            k = c["nHeads"] * c["headDim"]
            for i in near:
                wave = 1 << c["rotaryLog2"][i]
                layer.qkv[[k + i, k + half + i]] = 0
                layer.qkv[k + i, 0] = mark
                for head in range(3):
                    angle = -2 * math.pi * (36 + 64 * head) / wave
                    q = head * c["headDim"]
                    layer.qkv[[q + i, q + half + i]] = 0
                    layer.qkv[q + i, 0] = mark * math.cos(angle)
                    layer.qkv[q + half + i, 0] = mark * math.sin(angle)

    def see(self, patches: torch.Tensor) -> torch.Tensor:
        """(p, tiles, 2, s, s, first fold) int8 features, cut by features.patches -> (p, tiles, d)."""
        folds = self.c["video"]["folds"]
        p, tiles, frames, s, _, _ = patches.shape
        x = F.linear(patches.reshape(-1, patches.shape[-1]).float(), self.folds[0] / 32)
        x = F.gelu(rms(x, self.fold_norms[0], self.c["video"]["normEps"])).view(p * tiles, frames, s, s, -1)
        for i, f in list(enumerate(folds))[1:]:
            m, nt, s, _, ch = x.shape
            x = x.view(m, nt // f["t"], f["t"], s // f["h"], f["h"], s // f["h"], f["h"], ch).permute(0, 1, 3, 5, 2, 4, 6, 7)
            x = F.linear(x.reshape(m, nt // f["t"], s // f["h"], s // f["h"], -1), self.folds[i])
            if i + 1 < len(folds):
                x = F.gelu(rms(x, self.fold_norms[i], self.c["video"]["normEps"]))
        return x.reshape(p, tiles, self.c["dim"]) + self.tile

    def embed(self, batch) -> torch.Tensor:
        kind, ident = batch["kind"], batch["ident"]
        b, n = kind.shape
        x = torch.zeros(b, n, self.c["dim"])
        for k, role in ((TOLD, 0), (SAID, 1)):
            at = kind == k
            x[at] = (F.embedding(ident[at], self.text) + self.role[role])
        at = kind == CLOCK
        tick = ident[at]
        s, m, h = tick // 5 % 60, tick // 300 % 60, tick // 18000 % 24
        rows = torch.stack([tick % 5, 5 + s % 10, 15 + s // 10, 21 + m % 10, 31 + m // 10, 37 + h], -1)
        x[at] = F.embedding_bag(rows, self.clock, mode="sum").float()
        if batch.get("levels") is not None:  # (all audio frames of the batch, 80), in the order of the tokens
            rows = batch["levels"].long() + torch.arange(80) * 16
            summed = F.embedding_bag(rows, self.audio_table, mode="sum")
            x[kind == AUDIO] = rms(summed, self.audio_norm, self.c["normEps"]).float()
        if batch.get("patches") is not None:
            seen = self.see(batch["patches"])
            self.posed = self.stem_pose(rms(seen.flatten(1), None, self.c["normEps"]))
            x[kind == VIDEO] = seen.reshape(-1, self.c["dim"])
        return x

    def forward(self, batch):
        """batch: kind, ident, pos (b, n). Returns hidden states (b, n, d) after out_norm."""
        c, pos, kind = self.c, batch["pos"], batch["kind"]
        x = self.embed(batch)
        wave = torch.tensor([1 << w for w in c["rotaryLog2"]])
        angle = (pos[..., None] % wave).float() * (2 * math.pi / wave)
        cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
        turn = pos // 64
        perception = (kind == AUDIO) | (kind == VIDEO) | (kind == CLOCK)
        seen = pos[:, None, :] <= pos[:, :, None]
        near = turn[:, :, None] - turn[:, None, :] < c["memory"]["perceptionTurns"]
        visible = seen & (near | ~perception[:, None, :]) & (kind[:, None, :] >= 0)
        for k, size in ((TOLD, "toldTokens"), (SAID, "saidTokens")):
            rank = (kind == k).cumsum(1)
            held = rank[:, :, None] - rank[:, None, :] < c["memory"][size]
            visible &= held | (kind != k)[:, None, :]
        visible |= torch.eye(pos.shape[1], dtype=torch.bool)
        mask = torch.zeros(visible.shape).masked_fill_(~visible, float("-inf"))[:, None]
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return rms(x.float(), self.out_norm, c["normEps"])

    def logits(self, hidden):
        return F.linear(hidden, self.text) + self.head_bias

    def named_tensors(self) -> dict[str, nn.Parameter]:
        """The parameters that ship, under their checkpoint names."""
        out = {"embed.text": self.text, "embed.role": self.role, "embed.clock": self.clock, "embed.tile": self.tile,
               "audio.table": self.audio_table, "audio.norm": self.audio_norm, "out_norm": self.out_norm, "head.bias": self.head_bias}
        for i, w in enumerate(self.folds):
            out[f"video.fold.{i}.weight"] = w
        for i, w in enumerate(self.fold_norms):
            out[f"video.fold.{i}.norm"] = w
        for i, layer in enumerate(self.layers):
            for name, w in layer.named_parameters():
                out[f"layers.{i}.{name}"] = w
        return out

    def tensors(self) -> dict[str, torch.Tensor]:
        """The shipped tensors: f32, detached."""
        return {k: w.detach().float().contiguous() for k, w in self.named_tensors().items()}

    @torch.no_grad()
    def take(self, tensors: dict[str, torch.Tensor]) -> None:
        """Goes on from shipped tensors, those of `tensors()`; the auxiliary heads begin anew."""
        for name, own in self.named_tensors().items():
            own.copy_(tensors[name])


def load_config(path: str) -> dict:
    with open(path) as f:
        return json.load(f)
