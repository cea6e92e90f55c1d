#!/usr/bin/env python3
"""Times BERT's layers and the operators of attention and Hyena in PyTorch, forward alone, for `godwit bench encoders operators`.

bfloat16 without autocast on a GPU, random weights, states `[B, L, D]` in and out. What stands between two attentions is token by
token, so its graph is the same for every length: it is compiled once, by torch.compile with static shapes, and attention is
scaled_dot_product_attention between the pieces, as it is in a graph of the whole network. --whole LENGTH also compiles all of a
layer at that length, which shows that nothing is lost by that. Every back end of scaled_dot_product_attention that takes the shape
is tried, and the fastest is used and named. Hyena's transforms are torch.fft, as in its authors' code without kernels of its own; what
stands before and behind them is compiled for any length. One JSON line a shape, ms is the median.
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
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION, "math": SDPBackend.MATH}


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(body, budget):
    """Median seconds of a call; short ones are made many at a time."""
    body()
    synchronize()
    start = time.perf_counter()
    body()
    synchronize()
    calls = max(1, int(0.05 / max(1e-6, time.perf_counter() - start)))
    times = []
    while len(times) < (3 if budget > 0 else 1) or sum(times) * calls < budget:
        start = time.perf_counter()
        for _ in range(calls):
            body()
        synchronize()
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)


def fastest_backend(heads, length, batch, causal, device, dtype, budget):
    """Seconds of every back end that takes the shape, by name."""
    q, k, v = torch.randn(batch, length, 3, heads, 64, device=device, dtype=dtype).permute(2, 0, 3, 1, 4)
    found = {}
    for name, backend in BACKENDS.items():
        if name == "math" and (found or device == "cuda"):
            continue
        try:
            with sdpa_kernel(backend):
                def attend():
                    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

                once = measure(attend, 0)
                # What is far behind in a first look is not timed any longer.
                found[name] = once if once > 2 * min(found.values(), default=once) else measure(attend, budget)
        except (RuntimeError, torch.OutOfMemoryError):
            continue
    return found


class Layer(nn.Module):
    """A layer of BERT, cut behind its attention."""

    def __init__(self, width):
        super().__init__()
        self.heads = width // 64
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)

    def attend(self, joint, causal=False):
        b, length, d = joint.shape
        q, k, v = joint.view(b, length, 3, self.heads, d // 3 // self.heads).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(b, length, d // 3)

    def rest(self, x, mixed):
        """States behind the layer, and the next layer's projection of them, of positions `[B · L, D]`."""
        h = self.first(self.out(mixed) + x)
        y = self.second(self.down(F.gelu(self.up(h))) + h)
        return y, self.joint(y)

    def forward(self, x):
        h = self.first(self.out(self.attend(self.joint(x))) + x)
        return self.second(self.down(F.gelu(self.up(h))) + h)


class Hyena(nn.Module):
    """The operator of order 2 with a filter by a network of sines."""

    def __init__(self, width, longest, inner=64, bands=16):
        super().__init__()
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.short = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width, padding=2)
        self.skip = nn.Parameter(torch.randn(width))
        t = torch.linspace(0, 1, longest)[:, None]
        angle = 2 * math.pi * torch.arange(longest)[:, None] / longest * torch.linspace(1e-4, bands - 1, bands)
        self.features = torch.cat([t, angle.cos(), -angle.sin()], 1)
        self.window = (-t * torch.linspace(math.log(1e-2) / 1.5, math.log(1e-2) / 0.3, width).abs()).exp()
        self.layers = nn.ModuleList([nn.Linear(2 * bands + 1, inner), nn.Linear(inner, inner), nn.Linear(inner, inner)])
        self.last = nn.Linear(inner, width, bias=False)
        self.frequency = nn.Parameter(14 * torch.ones(inner))

    def place(self, device, dtype):
        """Filters stay float32, projections do not."""
        self.to(device)
        self.features, self.window = self.features.to(device), self.window.to(device)
        for part in (self.joint, self.out, self.short):
            part.to(dtype)
        return self

    def filters(self, length):
        h = self.features[:length]
        for layer in self.layers:
            h = (self.frequency * layer(h)).sin()
        return torch.fft.rfft((self.last(h) * self.window[:length]).t(), n=2 * length)

    def before(self, joint):
        """The last gate, and what is convolved, `[B, D, L]`. The short convolution is three shifted products, which are fused with what
        follows them as a library's depthwise convolution is not."""
        z, length = joint.transpose(1, 2), joint.shape[1]
        taps = self.short.weight[:, 0]
        z = sum(taps[:, m, None] * F.pad(z, (2 - m, 0))[..., :length] for m in range(3)) + self.short.bias[:, None]
        x0, x1, v = z.chunk(3, 1)
        return x0, x1 * v

    def after(self, x0, y, s):
        return (x0 * (y.to(s.dtype) + s * self.skip[:, None].to(s.dtype))).transpose(1, 2).contiguous()

    def compile_parts(self):
        self.before, self.after = (torch.compile(part, dynamic=True) for part in (self.before, self.after))

    def forward(self, u, spectrum=None):
        length = u.shape[1]
        if spectrum is None:
            spectrum = self.filters(length)
        x0, s = self.before(self.joint(u))
        y = torch.fft.irfft(torch.fft.rfft(s.float(), n=2 * length) * spectrum, n=2 * length)[..., :length]
        return self.out(self.after(x0, y, s))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--whole", type=int, default=0, metavar="LENGTH", help="also compile a whole layer at this length")
    parser.add_argument("--wait", default="", metavar="FILE",
                        help="compile, then measure once this file is there: compiling may run beside other measurements")
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", torch.float32)
    width, layers, positions, encoder_lengths, operator_lengths = (
        (768, 12, 131072, (512, 1024, 2048, 4096, 8192, 16384, 32768), (2048, 8192, 65536, 262144)) if on_gpu
        else (256, 4, 4096, (512, 1024, 2048, 4096), (2048, 8192)))
    name = torch.cuda.get_device_name() if on_gpu else "cpu"
    torch.manual_seed(0)

    def report(op, shape, seconds, tokens, kind, **more):
        print(json.dumps({"op": f"forward_{op}", "shape": shape, "peer": f"torch {torch.__version__} {kind}", "device": name,
                          "ms": round(seconds * 1e3, 4), "tok_s": round(tokens / seconds, 1), **more}), flush=True)

    def wanted(op, shape):
        return arguments.only in f"{op} {shape}"

    def backend(length, batch, causal):
        times = fastest_backend(width // 64, length, batch, causal, device, dtype, arguments.seconds / 4)
        best = min(times, key=times.get)
        return best, {key: round(1e3 * value, 4) for key, value in times.items()}

    layer = Layer(width).to(device, dtype).eval()
    rest = layer.rest if arguments.eager else torch.compile(layer.rest, dynamic=False)
    kind = "eager" if arguments.eager else "compiled"
    hyena = Hyena(width, max(operator_lengths)).place(device, dtype).eval()
    if not arguments.eager:
        hyena.compile_parts()
    with torch.inference_mode():
        if arguments.wait:
            x = torch.randn(positions, width, device=device, dtype=dtype)
            rest(x, x)
            for length in operator_lengths[:2]:
                hyena(x.view(-1, length, width))
            del x
            synchronize()
            print("ready", file=sys.stderr, flush=True)
            while not os.path.exists(arguments.wait):
                time.sleep(0.1)
        for length in encoder_lengths:
            batch = max(1, positions // length)
            shape = f"D={width} L={length} B={batch}"
            if not wanted("bert", shape):
                continue
            x = torch.randn(batch, length, width, device=device, dtype=dtype)

            def network():
                # One set of weights for all layers: 14 MB would stay in no cache between two of them anyway.
                states, joint = x.view(-1, width), layer.joint(x)
                for _ in range(layers):
                    mixed = layer.attend(joint.view(batch, length, 3 * width))
                    states, joint = rest(states, mixed.view(-1, width))
                return states

            best, times = backend(length, batch, False)
            with sdpa_kernel(BACKENDS[best]):
                # The last projection is one too many, and is taken off: it belongs to no layer.
                spare = measure(lambda: layer.joint(x), arguments.seconds / 4)
                seconds = measure(network, arguments.seconds) - spare
                report("bert", shape, seconds, batch * length, f"{kind}, {best}", attention_ms=times)
                if length == arguments.whole:
                    whole = torch.compile(layer, dynamic=False)

                    def through():
                        y = x
                        for _ in range(layers):
                            y = whole(y)
                        return y

                    report("bert", shape, measure(through, arguments.seconds), batch * length, f"whole layers compiled, {best}")
        for length in operator_lengths:
            batch = max(1, positions // length)
            shape = f"D={width} L={length} B={batch}"
            x = torch.randn(batch, length, width, device=device, dtype=dtype)
            if wanted("hyena", shape):
                spectrum = hyena.filters(length)
                report("hyena", shape, measure(lambda: hyena(x), arguments.seconds), batch * length, kind, filters="made")
                report("hyena", shape, measure(lambda: hyena(x, spectrum), arguments.seconds), batch * length, kind,
                       filters="kept")
                del spectrum
            if wanted("attention", shape) and (on_gpu or length <= 4096):
                best, times = backend(length, batch, True)
                with sdpa_kernel(BACKENDS[best]):
                    seconds = measure(lambda: layer.out(layer.attend(layer.joint(x), causal=True)), arguments.seconds)
                report("attention", shape, seconds, batch * length, f"eager, {best}", attention_ms=times)


main()
