#!/usr/bin/env python3
"""Times torch autograd's backward of long convolutions on a GPU, for `godwit bench fftconv_bwd --device cuda`.

One JSON line for each shape: {"op", "shape", "peer", "ms", "device"}; gradients of inputs and filters, with gates of those too.
Seven runs between events after two that do not count; the median. Needs torch with CUDA.
"""
import json
import torch

DEVICE = torch.cuda.get_device_name()


def milliseconds(call):
    times = []
    for number in range(9):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        if number > 1:
            times.append(start.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def convolution(u, k, length):
    spectrum = torch.fft.rfft(u.float(), n=2 * length) * torch.fft.rfft(k, n=2 * length)
    return torch.fft.irfft(spectrum, n=2 * length)[..., :length].to(u.dtype)


for length in (1024, 4096, 8192, 16384):
    batch, channels = 64 * min(1, 8192 / length), 768
    shape = (int(batch), channels, length)
    for gated in (False, True):
        inputs = [torch.randn(shape, device="cuda", dtype=torch.float16).requires_grad_() for _ in range(3 if gated else 1)]
        filters = (torch.randn(channels, length, device="cuda") * 0.02).requires_grad_()
        upstream = torch.randn(shape, device="cuda", dtype=torch.float16)
        result = convolution(inputs[0] * inputs[1] if gated else inputs[0], filters, length)
        if gated:
            result = inputs[2] * result
        wanted = inputs + [filters]
        time = milliseconds(lambda: torch.autograd.grad(result, wanted, upstream, retain_graph=True))
        print(json.dumps({
            "op": "fftconv_gated_causal_bwd" if gated else "fftconv_causal_bwd",
            "shape": f"B={shape[0]} H={channels} L={length}", "peer": "torch autograd", "ms": round(time, 5),
            "device": DEVICE}), flush=True)
        del inputs, filters, upstream, result, wanted
        torch.cuda.empty_cache()
