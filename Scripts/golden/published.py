#!/usr/bin/env python3
"""Published layouts of sequence models as torch.save writes them, with the numbers of the reference tensors.

  pip install torch numpy
  published.py

Reads Tests/ModelsTests/Golden/sequence/r10-lm-*.safetensors, which sequence.py wrote, and writes the parameters under
other names, and about other things, to Tests/ModelsTests/Golden/published. NOTE.md there tells what each file holds.
"""
import argparse
import collections
import json
import struct
from pathlib import Path

import torch

GOLDEN = Path(__file__).resolve().parents[2] / "Tests" / "ModelsTests" / "Golden"
OUT = GOLDEN / "published"


def parameters(name):
    """Parameters and constructor's arguments of a reference model."""
    data = (GOLDEN / "sequence" / f"{name}.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    result = collections.OrderedDict()
    for key, entry in header.items():
        if key.startswith("param."):
            begin, end = entry["data_offsets"]
            numbers = torch.frombuffer(bytearray(data[8 + size + begin:8 + size + end]), dtype=torch.float32)
            result[key.removeprefix("param.")] = numbers.reshape(entry["shape"])
    # The output shares the embedding's numbers.
    result["lm_head.weight"] = result["backbone.embeddings.word_embeddings.weight"]
    return result, json.loads(header["__metadata__"]["config"])


def joint(state, layer):
    """Queries, keys and values of an H3 layer in one projection."""
    mixer = f"backbone.layers.{layer}.mixer"
    for part in ("weight", "bias"):
        state[f"{mixer}.Wqkv.{part}"] = torch.cat([state.pop(f"{mixer}.{n}_proj.{part}") for n in "qkv"])
        state[f"{mixer}.out_proj.{part}"] = state.pop(f"{mixer}.output_linear.{part}")
    return state


def old(state, layers):
    """Names of the first H3, with each norm at the layer before."""
    norms = {}
    for part in ("weight", "bias"):
        def take(name): return state.pop(f"backbone.{name}.{part}")
        norms[f"norm.{part}"] = take("layers.0.norm1")
        for layer in range(layers):
            norms[f"layers.{layer}.norm1.{part}"] = take(f"layers.{layer}.norm2")
            last = layer == layers - 1
            norms[f"layers.{layer}.norm2.{part}"] = take("ln_f" if last else f"layers.{layer + 1}.norm1")
    state["embedding.weight"] = state.pop("backbone.embeddings.word_embeddings.weight")
    state.update((f"backbone.{name}", value) for name, value in norms.items())
    return collections.OrderedDict((name.replace("backbone.", "s4seq.encoder."), value) for name, value in state.items())


def wrapped(state):
    """As with checkpoints of activations about mixers and feed-forward layers."""
    for inner in ("mixer", "mlp"):
        state = collections.OrderedDict((name.replace(f".{inner}.", f".{inner}.layer."), v) for name, v in state.items())
    return state


def lightning(state, **more):
    return {"epoch": 1, "pytorch-lightning_version": "1.8.6",
            "state_dict": collections.OrderedDict((f"model.{name}", value) for name, value in state.items()),
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}], **more}


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    (OUT / "hyenadna").mkdir(parents=True, exist_ok=True)
    state, config = parameters("r10-lm-hybrid")
    torch.save(lightning(joint(state, 0), hyper_parameters={"model": config}), OUT / "hybrid-lightning.ckpt")
    torch.save(old(parameters("r10-lm-h3")[0], layers=2), OUT / "h3-old.pt")
    state, config = parameters("r10-lm-hyena")
    del state["lm_head.weight"]
    torch.save(lightning(wrapped(state)), OUT / "hyenadna" / "weights.ckpt")
    (OUT / "hyenadna" / "config.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()
