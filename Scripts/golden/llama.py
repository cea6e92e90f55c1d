#!/usr/bin/env python3
"""Reference logits of Llama networks, by a plain float64 forward pass in numpy.

  pip install numpy gguf
  llama.py smollm2 MODEL.gguf > Tests/ModelsTests/Golden/smollm2.json
  llama.py tiny > Tests/ModelsTests/Golden/tiny-llama.json

`smollm2` dequantises a GGUF file and runs the tokens of apache_tokens.txt: the negative log-likelihood of each
token after the first among the first 1,024, and some logits of the first 60. `tiny` makes small networks in
the layout of a Hugging Face folder, one for each variant of config.json, from numbers that the Swift test
generates too; see `weight`.
"""
import json
import math
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "Tests" / "ModelsTests" / "Golden"


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(x, table, interleaved, magnitude=1.0):
    """x is [tokens, heads, size]; `table` holds radians a position of each pair."""
    half = len(table)
    angles = np.arange(x.shape[0])[:, None] * table[None, :]
    cos, sin = magnitude * np.cos(angles)[:, None, :], magnitude * np.sin(angles)[:, None, :]
    y = x.copy()
    if interleaved:
        first, second = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
    else:
        first, second = slice(0, half), slice(half, 2 * half)
    y[..., first] = x[..., first] * cos - x[..., second] * sin
    y[..., second] = x[..., first] * sin + x[..., second] * cos
    return y


def attend(q, k, v, window=None):
    """Causal attention; q is [tokens, heads, size], k and v have fewer heads, each serving a run of q's."""
    tokens, heads, size = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(size)
    i, j = np.arange(tokens)[:, None], np.arange(tokens)[None, :]
    seen = j <= i if window is None else (j <= i) & (i - j < window)
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", weights, v).reshape(tokens, -1)


def forward(net, tokens):
    """Logits [tokens, vocabulary]. `net` gives sizes, the rotary table and `tensor(name)` by Hugging Face names."""
    w = net["tensor"]
    bias = lambda name: 0.0 if w(name) is None else w(name)
    x = w("model.embed_tokens.weight")[np.asarray(tokens)]
    size = net["head_size"]
    for layer in range(net["layers"]):
        p = f"model.layers.{layer}."
        h = rms_norm(x, w(p + "input_layernorm.weight"), net["epsilon"])
        q, k, v = (
            (h @ w(f"{p}self_attn.{n}_proj.weight").T + bias(f"{p}self_attn.{n}_proj.bias"))
            .reshape(len(x), -1, size) for n in "qkv")
        q = rotate(q, net["rotary"], net["interleaved"], net["magnitude"])
        k = rotate(k, net["rotary"], net["interleaved"], net["magnitude"])
        h = attend(q, k, v, net["window"])
        x = x + h @ w(p + "self_attn.o_proj.weight").T + bias(p + "self_attn.o_proj.bias")
        h = rms_norm(x, w(p + "post_attention_layernorm.weight"), net["epsilon"])
        gate = h @ w(p + "mlp.gate_proj.weight").T
        gate = gate / (1 + np.exp(-gate))
        x = x + (gate * (h @ w(p + "mlp.up_proj.weight").T)) @ w(p + "mlp.down_proj.weight").T
    head = w("lm_head.weight")
    x = rms_norm(x, w("model.norm.weight"), net["epsilon"])
    return x @ (w("model.embed_tokens.weight") if head is None else head).T


def rotary_table(base, size, scaling, context):
    """Radians a position of each pair, and the factor on cosine and sine."""
    table = base ** (-np.arange(0, size, 2) / size)
    kind = scaling.get("rope_type", scaling.get("type", "default")) if scaling else "default"
    if kind in ("default", "dynamic"):  # dynamic scaling starts past the context length
        return table, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return table / factor, 1.0
    original = scaling.get("original_max_position_embeddings", context)
    if kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = original * table / (2 * math.pi)
        kept = np.clip((turns - low) / (high - low), 0, 1)
        return table * (kept + (1 - kept) / factor), 1.0
    assert kind == "yarn", kind
    # The pair that makes `turns` turns over the original context.
    pair = lambda turns: size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
    first, last = pair(scaling.get("beta_fast", 32)), pair(scaling.get("beta_slow", 1))
    if scaling.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    ramp = np.clip((np.arange(size // 2) - first) / (last - first if last > first else 0.001), 0, 1)
    magnitude = scaling.get("attention_factor") or 0.1 * math.log(factor) + 1
    return table * (1 - ramp) + table / factor * ramp, magnitude


def nll(logits, targets):
    top = logits.max(axis=-1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=-1))
    return total - logits[np.arange(len(targets)), targets]


def rounded(values, digits=9):
    return [float(f"{v:.{digits}g}") for v in np.asarray(values, dtype=np.float64).ravel()]


def smollm2(path):
    import gguf
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["llama." + key].contents()
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down"}
    stored = {t.name: t for t in reader.tensors}
    cache = {}

    def tensor(name):
        stem, kind = name.rsplit(".", 1)
        prefix = ""
        if stem.startswith("model.layers."):
            _, _, number, stem = stem.split(".", 3)
            prefix = f"blk.{number}."
        found = stored.get(f"{prefix}{names[stem]}.{kind}")
        if found is not None and name not in cache:
            cache[name] = gguf.dequantize(found.data, found.tensor_type).astype(np.float64)
        return cache.get(name)

    head_size = field("embedding_length") // field("attention.head_count")
    net = {
        "layers": field("block_count"), "head_size": head_size, "tensor": tensor, "window": None,
        "epsilon": float(field("attention.layer_norm_rms_epsilon")), "interleaved": True, "magnitude": 1.0,
        "rotary": rotary_table(float(field("rope.freq_base")), head_size, None, 0)[0]}
    tokens = [int(t) for t in (GOLDEN / "apache_tokens.txt").read_text().split()][:1024]
    logits = forward(net, tokens)
    losses = nll(logits[:-1], np.asarray(tokens[1:]))
    print(f"perplexity {math.exp(losses.mean()):.6f}", file=sys.stderr)
    vocabulary = logits.shape[1]
    fixed = [index * 191 % vocabulary for index in range(256)]  # all over the vocabulary
    rows = []
    for position in (0, 1, 31, 59, 511, 512, 1023):
        row = logits[position]
        top = np.argsort(-row, kind="stable")[:64]
        rows.append({
            "position": position, "norm": float(np.linalg.norm(row)), "top": [int(t) for t in top],
            "topLogits": rounded(row[top]), "fixedLogits": rounded(row[fixed])})
    return {
        "tokens": tokens, "perplexity": math.exp(losses.mean()), "nll": rounded(losses, 8),
        "fixed": fixed, "rows": rows}


MASK = (1 << 64) - 1


def weight(name, shape, is_norm):
    """Multiples of 1/128 in −1…1 from SplitMix64 seeded with the name's FNV-1a hash, scaled by a power of two.

    Eight bits each, so float32, float16 and bfloat16 all hold them exactly. Norms are 1 plus a quarter.
    """
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = ((z >> np.uint64(56)).astype(np.float64) - 128) / 128
    return (1 + u / 4 if is_norm else u / 4).reshape(shape)


BASE = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 97, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True}

VARIANTS = {
    "tied": {},
    "untied": {"tie_word_embeddings": False, "rope_theta": 500000.0},
    "llama3": {"rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}},
    "linear": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "yarn": {"rope_theta": None, "rope_parameters": {
        "rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0, "beta_fast": 8, "beta_slow": 1,
        "original_max_position_embeddings": 64}},
    "attention-bias": {"attention_bias": True},
    "qwen2": {"model_type": "qwen2", "sliding_window": 16, "use_sliding_window": False},
    "head-size": {"head_dim": 32, "num_key_value_heads": 1},
    "mistral": {"model_type": "mistral", "sliding_window": 9, "num_key_value_heads": 4},
    "partial-rotary": {"partial_rotary_factor": 0.5},
}


def tiny(overrides):
    config = {k: v for k, v in (BASE | overrides).items() if v is not None}
    width, heads, kv = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    size, inner = config.get("head_dim", width // heads), config["intermediate_size"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], width], "model.norm.weight": [width]}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = [config["vocab_size"], width]
    biased = {"qwen2": "qkv"}.get(config["model_type"], "qkvo" if config.get("attention_bias") else "")
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        outputs = {"q": heads * size, "k": kv * size, "v": kv * size, "o": width}
        for n, out in outputs.items():
            shapes[f"{p}self_attn.{n}_proj.weight"] = [out, heads * size if n == "o" else width]
            if n in biased:
                shapes[f"{p}self_attn.{n}_proj.bias"] = [out]
        shapes[p + "input_layernorm.weight"] = shapes[p + "post_attention_layernorm.weight"] = [width]
        shapes[p + "mlp.gate_proj.weight"] = shapes[p + "mlp.up_proj.weight"] = [inner, width]
        shapes[p + "mlp.down_proj.weight"] = [width, inner]
    tensors = {n: weight(n, s, "norm" in n) for n, s in shapes.items()}
    scaling = config.get("rope_parameters", config.get("rope_scaling"))
    base = (config.get("rope_parameters") or config)["rope_theta"]
    rotary, magnitude = rotary_table(
        base, int(size * config.get("partial_rotary_factor", 1)), scaling, config["max_position_embeddings"])
    net = {
        "layers": config["num_hidden_layers"], "head_size": size, "tensor": tensors.get,
        "window": config.get("sliding_window") if config.get("use_sliding_window", True) else None,
        "epsilon": config["rms_norm_eps"], "interleaved": False, "magnitude": magnitude, "rotary": rotary}
    tokens = [(7 * i * i + 3 * i + 5) % config["vocab_size"] for i in range(80)]  # past a page of 64
    positions = [0, 1, 17, 63, 64, 79]
    logits = forward(net, tokens)[positions]
    return {
        "config": config, "tensors": shapes, "tokens": tokens, "positions": positions,
        "logits": [rounded(row) for row in logits]}


if __name__ == "__main__":
    if sys.argv[1:] == ["tiny"]:
        result = {name: tiny(overrides) for name, overrides in VARIANTS.items()}
    elif sys.argv[1:2] == ["smollm2"] and len(sys.argv) == 3:
        result = smollm2(sys.argv[2])
    else:
        sys.exit(__doc__)
    print(json.dumps(result, separators=(",", ":")))
