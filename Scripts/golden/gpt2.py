#!/usr/bin/env python3
"""Reference logits of tiny GPT-2 networks, by a plain float64 forward pass in numpy.

  pip install numpy
  gpt2.py > Tests/ModelsTests/Golden/tiny-gpt2.json

Layout of a Hugging Face folder: learned positions, LayerNorm before each half of a block, projections stored
`[in, out]`, query, key and value in one matrix, tanh GELU. Weights as in llama.py, which the Swift test
generates too.
"""
import json
import math

import numpy as np

from llama import attend, rounded, weight


def layer_norm(x, w, b, epsilon):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + epsilon) * w + b


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def relu(x):
    return np.maximum(x, 0)


ACTIVATIONS = {"gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh, "relu": relu}


def forward(config, w, tokens):
    width, heads, epsilon = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    act = ACTIVATIONS[config["activation_function"]]
    norm = lambda x, p: layer_norm(x, w[p + ".weight"], w[p + ".bias"], epsilon)
    conv = lambda x, p: x @ w[p + ".weight"] + w[p + ".bias"]
    x = w["wte.weight"][tokens] + w["wpe.weight"][np.arange(len(tokens))]
    for layer in range(config["n_layer"]):
        p = f"h.{layer}."
        qkv = conv(norm(x, p + "ln_1"), p + "attn.c_attn").reshape(len(x), 3, heads, width // heads)
        x = x + conv(attend(qkv[:, 0], qkv[:, 1], qkv[:, 2]), p + "attn.c_proj")
        x = x + conv(act(conv(norm(x, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
    return norm(x, "ln_f") @ w.get("lm_head.weight", w["wte.weight"]).T


BASE = {
    "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": 97,
    "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}

VARIANTS = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "inner": {"n_inner": 96, "activation_function": "relu", "n_head": 2},
}


def tiny(overrides):
    config = BASE | overrides
    width = config["n_embd"]
    inner = config.get("n_inner", 4 * width)
    shapes = {"wte.weight": [config["vocab_size"], width], "wpe.weight": [config["n_positions"], width]}
    if not config.get("tie_word_embeddings", True):
        shapes["lm_head.weight"] = [config["vocab_size"], width]
    for layer in range(config["n_layer"]):
        for name, inputs, outputs in (
                ("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width),
                ("mlp.c_fc", width, inner), ("mlp.c_proj", inner, width)):
            shapes[f"h.{layer}.{name}.weight"], shapes[f"h.{layer}.{name}.bias"] = [inputs, outputs], [outputs]
        for name in ("ln_1", "ln_2"):
            shapes[f"h.{layer}.{name}.weight"] = shapes[f"h.{layer}.{name}.bias"] = [width]
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = [width]
    is_norm = lambda n: ".ln_" in "." + n and n.endswith("weight")
    tensors = {n: weight(n, s, is_norm(n)) for n, s in shapes.items()}
    tokens = [(7 * i * i + 3 * i + 5) % config["vocab_size"] for i in range(80)]
    positions = [0, 1, 17, 63, 64, 79]
    logits = forward(config, tensors, np.asarray(tokens))[positions]
    return {
        "config": config, "tensors": shapes, "tokens": tokens, "positions": positions,
        "logits": [rounded(row) for row in logits]}


if __name__ == "__main__":
    print(json.dumps({name: tiny(o) for name, o in VARIANTS.items()}, separators=(",", ":")))
