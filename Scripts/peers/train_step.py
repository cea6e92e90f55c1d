#!/usr/bin/env python3
"""Times training steps of Hyena, H3 and a Transformer in PyTorch, for `godwit bench train`.

Networks of the same sizes: forward, cross entropy of every position, backward, clipping and fused AdamW; torch.compile unless --eager.
On a GPU 125 million parameters under bfloat16 autocast, attention by scaled_dot_product_attention; on cores a small network in
float32. Convolutions are torch.fft, as the authors' code without its own kernels. One JSON line for each shape, ms is the median.
"""
import argparse
import json
import math
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def convolve(u, k):
    """Causal convolution of [B, D, L] with [D, L]."""
    length = u.shape[-1]
    spectrum = torch.fft.rfft(u.float(), n=2 * length) * torch.fft.rfft(k.float(), n=2 * length)
    return torch.fft.irfft(spectrum, n=2 * length)[..., :length].to(u.dtype)


class Attention(nn.Module):
    def __init__(self, width, _):
        super().__init__()
        self.heads = width // 64
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, u):
        b, length, d = u.shape
        q, k, v = self.joint(u).view(b, length, 3, self.heads, 64).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, length, d))


class Hyena(nn.Module):
    def __init__(self, width, longest):
        super().__init__()
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.short = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width, padding=2)
        self.skip = nn.Parameter(torch.randn(width))
        t = torch.linspace(0, 1, longest)[:, None]
        angle = 2 * math.pi * torch.arange(longest)[:, None] / longest * torch.linspace(1e-4, 1, 2)
        self.register_buffer("features", torch.cat([t, angle.cos(), -angle.sin()], 1))
        rates = torch.linspace(math.log(1e-2) / 1.5, math.log(1e-2) / 0.3, width).abs()
        self.register_buffer("window", (-t * rates).exp())
        self.layers = nn.ModuleList([nn.Linear(5, 64), nn.Linear(64, 64), nn.Linear(64, 64)])
        self.last = nn.Linear(64, width, bias=False)
        self.frequency = nn.Parameter(10 * torch.ones(64))

    def forward(self, u):
        length = u.shape[1]
        with torch.autocast(u.device.type, enabled=False):
            h = self.features[:length]
            for layer in self.layers:
                h = (self.frequency * layer(h)).sin()
            k = (self.last(h) * self.window[:length]).t()
        x0, x1, v = self.short(self.joint(u).transpose(1, 2))[..., :length].chunk(3, 1)
        s = x1 * v
        return self.out((x0 * (convolve(s, k) + s * self.skip[:, None].to(s.dtype))).transpose(1, 2))


class H3(nn.Module):
    def __init__(self, width, _, states=64):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.shift = nn.Parameter(torch.randn(width, states) / 8)
        self.skips = nn.Parameter(torch.randn(2, width))
        self.step = nn.Parameter(torch.empty(width, 1).uniform_(math.log(1e-3), math.log(0.1)))
        self.decay = nn.Parameter(torch.full((width, states // 2), math.log(0.5)))
        self.pole = nn.Parameter(math.pi * torch.arange(states // 2).float().repeat(width, 1))
        self.c = nn.Parameter(torch.randn(width, states // 2, 2))

    def forward(self, u):
        length = u.shape[1]
        with torch.autocast(u.device.type, enabled=False):
            a = torch.complex(-self.decay.exp(), self.pole) * self.step.exp()
            powers = torch.exp(((1 + a / 2) / (1 - a / 2)).log()[:, :, None] * torch.arange(length, device=u.device))
            c = torch.view_as_complex(self.c) * self.step.exp() / (1 - a / 2)
            kernel = 2 * torch.einsum("dn,dnl->dl", c, powers).real
        q, k, v = (layer(u).transpose(1, 2) for layer in (self.q, self.k, self.v))
        keys = convolve(k, F.pad(self.shift, (0, length - self.shift.shape[1]))) + k * self.skips[0, :, None].to(k.dtype)
        s = keys * v
        return self.out((q * (convolve(s, kernel) + s * self.skips[1, :, None].to(s.dtype))).transpose(1, 2))


class Block(nn.Module):
    def __init__(self, mixer, width, longest):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer = mixer(width, longest)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.mixer(self.first(x))
        return x + self.down(F.gelu(self.up(self.second(x)), approximate="tanh"))


class Network(nn.Module):
    def __init__(self, mixer, width, layers, vocabulary, longest):
        super().__init__()
        self.embedding = nn.Embedding((vocabulary + 7) // 8 * 8, width)
        self.positions = nn.Embedding(longest, width) if mixer is Attention else None
        self.blocks = nn.Sequential(*(Block(mixer, width, longest) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        logits = F.linear(self.norm(self.blocks(x)), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--wait", default="", metavar="FILE",
                        help="compile, then measure once this file is there: compiling may run beside other measurements")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    name, width, layers, vocabulary, batches = (
        ("125M", 768, 12, 50257, ((2048, 16), (8192, 4))) if on_gpu else ("5M", 256, 4, 8192, ((512, 2), (2048, 1))))
    torch.set_float32_matmul_precision("high")
    for title, mixer in (("hyena", Hyena), ("h3", H3), ("transformer", Attention)):
        for length, count in batches:
            shape = f"{title} {name} L={length} B={count}"
            if arguments.only not in shape:
                continue
            torch.manual_seed(0)
            network = Network(mixer, width, layers, vocabulary, length).to(device)
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
            loss = network if arguments.eager else torch.compile(network)
            tokens = torch.randint(0, 30, (count, length + 1), device=device)

            def step():
                with torch.autocast(device, torch.bfloat16, enabled=on_gpu):
                    value = loss(tokens[:, :-1], tokens[:, 1:])
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                if on_gpu:
                    torch.cuda.synchronize()

            for _ in range(3):
                step()
            if arguments.wait:
                if on_gpu:
                    # Others need the memory meanwhile.
                    torch.cuda.empty_cache()
                print("ready", file=sys.stderr, flush=True)
            while arguments.wait and not os.path.exists(arguments.wait):
                time.sleep(0.1)
            times = []
            while len(times) < 5 or sum(times) < arguments.seconds:
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
            seconds = statistics.median(times)
            kind = "eager" if arguments.eager else "compiled"
            print(json.dumps({"op": "train_step", "shape": shape, "peer": f"torch {torch.__version__} {kind}",
                              "device": torch.cuda.get_device_name() if on_gpu else None, "ms": round(seconds * 1e3, 3),
                              "tok_s": round(length * count / seconds, 1)}), flush=True)
            del network, optimizer, loss


main()
