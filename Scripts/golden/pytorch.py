#!/usr/bin/env python3
"""Small files by torch.save for the tests of the reader; Tests/FormatsTests/PyTorch/NOTE.md tells what each holds.

  pip install torch numpy
  pytorch.py
"""
import argparse
import collections
import os
import warnings
from pathlib import Path

import torch
from torch import nn

OUT = Path(__file__).resolve().parents[2] / "Tests" / "FormatsTests" / "PyTorch"


class Evil:
    """Unpickled by Python, this runs a command."""

    def __reduce__(self):
        return os.system, ("touch /tmp/godwit-pickle-was-run",)


class Settings:
    """An object of somebody's own module."""

    def __init__(self):
        self.rate = 0.5
        self.names = ["a", "b"]


def save(name, value, **options):
    torch.save(value, OUT / f"{name}.pt", **options)


def types():
    """1 … 6 in every type; of complex numbers these are the real parts."""
    numbers = torch.arange(1, 7).reshape(2, 3)
    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
             "uint16", "complex64", "float8_e4m3fn"]
    return {name: numbers.to(getattr(torch, name)) for name in names}


def views():
    """Views of one storage, 0 … 23, and of one number."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "base": base, "transposed": base.T, "row": base[2], "part": base[1:3, 1::2], "scalar": base[3, 5],
        "empty": base[:, 2:2], "cube": base.reshape(2, 3, 4).permute(2, 0, 1), "tail": base.flatten()[20:],
        "repeated": torch.tensor([7.0]).expand(3, 2), "bytes": torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
    }


class Tied(nn.Module):
    """Two names for one parameter, and a buffer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 2)
        self.norm = nn.LayerNorm(2)
        self.head = nn.Linear(2, 3, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("places", torch.arange(3))
        with torch.no_grad():
            self.embedding.weight.copy_(torch.tensor([[1., 2.], [3., 4.], [5., 6.]]))


def lightning(**more):
    """As a training framework nests it."""
    return {
        "epoch": 3, "global_step": 1 << 40, "pytorch-lightning_version": "2.0.1",
        "state_dict": collections.OrderedDict([("model.weight", torch.ones(2, 2)), ("model.bias", torch.zeros(2))]),
        "optimizer_states": [{
            "state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.full((2,), 0.25)}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]}],
        "hyper_parameters": {
            "d_model": 128, "name": "é", "nothing": None, "on": True, "off": False, "negative": -7, "small": -300,
            "layer": {"l_max": 1026, "w": 10.0}, "list": [1, [2, 3], {}], "type": torch.bfloat16,
            "size": torch.Size([2, 3]), "mixed": [torch.ones(1), "x"]},
        **more}


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save("types", types())
    save("views", views())
    save("tied", Tied().state_dict())
    save("parameters", {"p": nn.Parameter(torch.ones(2)), "frozen": nn.Parameter(torch.zeros(1), requires_grad=False),
                        "list": [torch.ones(1), torch.full((1,), 2.0)]})
    save("lightning", lightning())
    save("tensor", torch.arange(3.0))
    for protocol in (3, 4, 5):
        save(f"protocol{protocol}", lightning(), pickle_protocol=protocol)
    save("many", collections.OrderedDict((f"layers.{n}.weight", torch.full((2,), float(n))) for n in range(100)))
    save("foreign", lightning(callbacks={"own": Settings(), Settings: 1}, namespace=argparse.Namespace(x=1)))
    save("evil", {"weight": torch.ones(1), "evil": Evil()})
    save("conjugate", {"c": torch.ones(2, dtype=torch.complex64).conj()})
    save("legacy", {"weight": torch.ones(2)}, _use_new_zipfile_serialization=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), OUT / "script.pt")


if __name__ == "__main__":
    main()
