#!/usr/bin/env python3
"""Reference tensors of S4D, H3, Hyena, LongConv and Monarch Mixer, by the original PyTorch modules.

  pip install torch numpy scipy einops opt_einsum hydra-core omegaconf 'transformers<4.50'
  sequence.py --originals FOLDER [CASE…]

FOLDER holds the trees of two repositories, `safari` and `m2`, at the commits below. Nothing of theirs is copied
here: the modules are imported from there, fed with numbers from fixed seeds, and what they answer is written to
Tests/ModelsTests/Golden/sequence/CASE.safetensors. NOTE.md in that folder tells what each file holds.

A module is made in float32, so that its parameters are float32 numbers; it is then widened to float64 and run
there, and the answers are rounded to float32. `Tensor.float()`, which the originals call on kernels, does nothing
meanwhile.
"""
import argparse
import contextlib
import importlib
import io
import json
import sys
import types
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

COMMITS = {"safari": "02220c69d247e5473616cd053a443ad99fd2559b", "m2": "7d359e8ce0d18294d840d1ed775ec920b3b48afd"}
FOLDERS = {"safari": "safari/src", "m2": "m2/bert/src"}
OUT = Path(__file__).resolve().parents[2] / "Tests" / "ModelsTests" / "Golden" / "sequence"
originals = Path()


# Importing the originals

STUBS = ["pytorch_lightning", "torchvision", "rich"]


def stub(name, **members):
    """A module that exists only so that importing it works."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            sys.modules[path] = types.ModuleType(path)
        if end > 1:
            setattr(sys.modules[".".join(parts[:end - 1])], parts[end - 1], sys.modules[path])
    for key, value in members.items():
        setattr(sys.modules[name], key, value)


class Same(nn.Module):
    """In the place of stochastic depth, which is off in every case here."""

    def __init__(self, p, mode):
        super().__init__()
        assert p == 0

    def forward(self, x):
        return x


def original(repository, module):
    """A module of a repository; both call their package `src`, so one at a time is loaded."""
    folder = str(originals / FOLDERS[repository])
    package = sys.modules.get("src")
    if package is None or package.__path__ != [folder]:
        for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
            del sys.modules[name]
        for name in [name for name in sys.modules if name.split(".")[0] in STUBS]:
            del sys.modules[name]  # transformers, which m2 needs, would take them for the real thing
        if repository == "safari":
            stub("pytorch_lightning.utilities", rank_zero_only=lambda f: f)
            stub("torchvision.ops", StochasticDepth=Same)
            stub("rich.syntax")
            stub("rich.tree")
        package = types.ModuleType("src")
        package.__path__ = [folder]
        sys.modules["src"] = package
    with contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module("src." + module)


# Running them

@contextlib.contextmanager
def widened(module):
    """The module in float64, evaluating, with `Tensor.float()` left out."""
    module.double().eval()
    narrow, torch.Tensor.float = torch.Tensor.float, lambda self, *_, **__: self
    try:
        yield module
    finally:
        torch.Tensor.float = narrow


def normal(seed, *shape, scale=1.0):
    """Normal numbers of a seed of their own, of float32 precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def stir(module, seed):
    """Larger weights, biases and norms than a fresh language model has, so that no term is lost in rounding."""
    for index, part in enumerate(module.modules()):
        with torch.no_grad():
            draw = lambda p, at, scale: p.copy_(normal(seed + 2 * index + at, *p.shape, scale=scale))
            if isinstance(part, nn.Linear):
                draw(part.weight, 0, 0.25)
                if part.bias is not None:
                    draw(part.bias, 1, 0.1)
            elif isinstance(part, nn.Embedding):
                draw(part.weight, 0, 0.7)
            elif isinstance(part, nn.LayerNorm):
                draw(part.weight, 0, 0.2).add_(1)
                draw(part.bias, 1, 0.1)
    return module


def parameters(module, prefix="param."):
    """The state dict. A tensor with several names appears under each of them."""
    return {prefix + name: value.detach().clone() for name, value in module.state_dict().items()}


def gradients(module):
    """A tensor with several names has its whole gradient under the first."""
    return {"grad." + name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def made(seed, build, *arguments, **options):
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        return build(*arguments, **options)


def write(case, repository, module, config, tensors, notes=""):
    OUT.mkdir(parents=True, exist_ok=True)
    held = {}
    for name, value in tensors.items():
        value = value.detach()
        assert name.startswith(("in.", "param.")) or value.dtype in [torch.float64, torch.complex128], (case, name, value.dtype)
        if value.is_complex():
            value = torch.view_as_real(value.resolve_conj())
        if value.is_floating_point():
            value = value.to(torch.float32)
            assert torch.isfinite(value).all(), (case, name)
        held[name] = value.contiguous().clone()
    # The library orders metadata at random; the same numbers are to give the same file.
    header, body = {"__metadata__": {
        "config": json.dumps(config, sort_keys=True), "module": module, "repository": f"HazyResearch/{repository}",
        "commit": COMMITS[repository], "torch": torch.__version__, "precision": "float64, rounded to float32", "notes": notes}}, b""
    for name in sorted(held):
        value = held[name].numpy()
        start, body = len(body), body + value.tobytes()
        header[name] = {"dtype": {"float32": "F32", "int64": "I64"}[value.dtype.name], "shape": list(value.shape),
                        "data_offsets": [start, len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = OUT / f"{case}.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    print(f"{case:28} {path.stat().st_size:8} bytes, {len(held)} tensors")


def backward(forward, module, u, seed):
    """Runs `y = forward(u)` and the gradients of sum(y * w)."""
    u = u.double().requires_grad_()
    module.zero_grad()
    y = forward(u)
    w = normal(seed, *y.shape)
    (y * w.double()).sum().backward()
    return {"in.u": u, "in.w": w, "out.y": y, "grad.u": u.grad, **gradients(module)}


# H3 and its kernels

class Inference:
    def __init__(self):
        self.key_value_memory_dict, self.sequence_len_offset = {}, 0


def h3(case, seed, length, steps, **config):
    module = original("safari", "models.sequence.h3")
    layer = made(seed, module.H3, **config)
    held = parameters(layer)
    u = normal(seed + 1, 2, length, config["d_model"])
    with widened(layer):
        held |= backward(layer, layer, u, seed + 2)
        with torch.no_grad():
            held["out.kernel"] = layer.kernel(L=length, rate=1.0)[0][0]
            held["out.shift_kernel"] = layer.ssm_k_kernel(L=length, rate=1.0)[0][0]
            if config["head_dim"] > 1:
                heads, size = layer.H, layer.head_dim
                columns = torch.arange(layer.d_model).view(heads, size).T.reshape(-1)
                layer.output_linear.weight.copy_(layer.output_linear.weight[:, columns])
                held["out.y_fused"] = layer(u.double())
            elif steps:
                cache, start = Inference(), length - steps
                held["out.y_prefill"] = layer(u[:, :start].double(), cache)
                shift, diagonal = cache.key_value_memory_dict[layer.layer_idx]
                held["out.state_shift"], held["out.state"] = shift.clone(), diagonal.clone()
                answers = []
                for at in range(start, length):
                    cache.sequence_len_offset = at
                    answers.append(layer(u[:, at:at + 1].double(), cache))
                held["out.y_steps"] = torch.cat(answers, dim=1)
    write(case, "safari", "src/models/sequence/h3.py H3", config, held,
          "out.y: the convolution of the unfused path" + (
              ", channels j2*H+h before output_linear; out.y_fused: channels h*head_dim+j2" if config["head_dim"] > 1 else
              f"; out.y_prefill: all but the last {steps} positions, out.y_steps: those by recurrence,"
              " out.state*: after the prefill" if steps else ""))


def r1():
    h3("r1-h3", 100, 40, 15, d_model=16, d_state=64, l_max=None, head_dim=1, layer_idx=0, mode="diag", measure="diag-lin")
    h3("r1-h3-short-state", 110, 40, 15, d_model=8, d_state=16, l_max=None, head_dim=1, layer_idx=0, mode="diag",
       measure="diag-lin")


def r2():
    h3("r2-h3-heads", 120, 24, 0, d_model=16, d_state=16, l_max=None, head_dim=8, layer_idx=0, mode="diag", measure="diag-lin")


def r3():
    module = original("safari", "models.sequence.ssm.ss_kernel")
    held, config = {}, dict(H=4, N=64, channels=1, L=256)
    for measure in ["diag-lin", "diag-inv", "diag-legs"]:
        for disc in ["bilinear", "zoh"]:
            kernel = made(130, module.SSKernel, 4, N=64, mode="diag", measure=measure, disc=disc)
            name = f"{measure}.{disc}"
            held |= parameters(kernel, f"param.{name}.")
            with widened(kernel), torch.no_grad():
                held[f"out.{name}.kernel"] = kernel(L=256, rate=1.0)[0]
    write("r3-ssm-kernels", "safari", "src/models/sequence/ssm/ss_kernel.py SSKernel", config, held,
          "names carry measure and discretisation; kernels are [channels, H, L]")


# Hyena

def hyena(case, seed, **config):
    module = original("safari", "models.sequence.hyena")
    layer = made(seed, module.HyenaOperator, **config)
    held = parameters(layer)
    u = normal(seed + 1, 2, 64, config["d_model"])
    with widened(layer):
        held |= backward(layer, layer, u, seed + 2)
        with torch.no_grad():
            held["out.filter"] = layer.filter_fn.filter(64)
            held["out.y40"] = layer(u[:, :40].double())
    write(case, "safari", "src/models/sequence/hyena.py HyenaOperator", config, held,
          "out.y at length 64, out.y40 from the first 40 positions; out.filter is [1, L, d_model*(order-1)]")


def r4():
    hyena("r4-hyena", 200, d_model=16, l_max=64, order=2, filter_order=8, emb_dim=5, w=10, modulate=True)
    hyena("r4-hyena-variants", 205, d_model=8, l_max=64, order=2, filter_order=8, emb_dim=3, w=1, modulate=True, shift=0.05,
          num_inner_mlps=1, short_filter_order=5, lr_pos_emb=0.0)


def r5():
    hyena("r5-hyena-order3", 210, d_model=16, l_max=64, order=3, filter_order=8, emb_dim=5, w=10, modulate=True)


# LongConv

def long_conv(case, seed, length, d_model, **config):
    module = original("safari", "models.sequence.long_conv")
    layer = made(seed, module.LongConv, d_model, **config)
    with torch.no_grad():
        layer.kernel.kernel.copy_(normal(seed + 3, *layer.kernel.kernel.shape, scale=0.1))
    held = parameters(layer)
    with widened(layer):
        held |= backward(lambda u: layer(u)[0], layer, normal(seed + 1, 2, length, d_model), seed + 2)
        held["out.kernel"] = layer.kernel(L=length)[0]
    write(case, "safari", "src/models/sequence/long_conv.py LongConv", {"d_model": d_model, **config}, held,
          "kernel redrawn with deviation 0.1; out.kernel: after the squash")


def r6():
    long_conv("r6-longconv-two-sided", 300, 32, 8, l_max=32, channels=2, bidirectional=True, lam=0.05, transposed=False)
    long_conv("r6-longconv-wrap", 310, 48, 8, l_max=64, channels=2, bidirectional=False, lam=0.05, transposed=False)
    long_conv("r6-longconv-one-sided", 320, 32, 8, l_max=32, channels=1, bidirectional=False, lam=0.05, transposed=False)


def r7():
    module = original("safari", "models.sequence.long_conv_kernel")
    noise = made(330, torch.randn, 2, 5, 32)
    held = {"in.noise": noise}
    config = dict(H=5, L=32, channels=2, lam=0.003, weight_init="double_exp")
    variants = {"squash": {}, "average": dict(use_ma_smoothing=True), "frequency": dict(use_ma_smoothing=True, smooth_freq=True)}
    for name, options in variants.items():
        kernel = made(330, module.LongConvKernel, **config, **options)
        held["param.kernel"] = kernel.kernel.detach().clone()
        with widened(kernel):
            if hasattr(kernel, "smooth_weight"):
                kernel.smooth_weight = kernel.smooth_weight.to(torch.complex128)
            kernel.zero_grad()
            k = kernel()[0]
            held[f"out.{name}"] = k
            w = normal(331, *k.shape)
            (k * w.double()).sum().backward()
            held["in.w"], held[f"grad.{name}.kernel"] = w, kernel.kernel.grad.clone()
    write("r7-longconv-kernels", "safari", "src/models/sequence/long_conv_kernel.py LongConvKernel",
          {**config, "ma_window_len": 7}, held, "param.kernel: the initial kernel from in.noise; transforms in eval mode")


def r8():
    module = original("safari", "models.sequence.block_fft")
    config, held = dict(learn_dft_matrices=True, H=2, max_m=16), {}
    cuda, torch.Tensor.cuda = torch.Tensor.cuda, lambda self: self
    torch.set_default_dtype(torch.float64)  # twiddle factors are made on the fly, in the default type
    try:
        block = module.BlockFFT(**config)
        for index, power in enumerate(block.powers):
            mat = getattr(block, f"mat_{power}")
            with torch.no_grad():
                noise = torch.randn(mat.shape, generator=torch.Generator().manual_seed(350 + index), dtype=torch.float32)
                mat.copy_((mat + 0.05 * noise).to(torch.float32))
        held |= {name: value.to(torch.float32) for name, value in parameters(block).items()}
        for length in [64, 256, 512]:
            x = torch.randn(2, length, 2, generator=torch.Generator().manual_seed(length), dtype=torch.float32)
            block.zero_grad()
            y = torch.view_as_real(block(torch.view_as_complex(x.double()), N=length))
            w = torch.randn(y.shape, generator=torch.Generator().manual_seed(length + 1), dtype=torch.float32)
            (y * w).sum().backward()
            held |= {f"in.{length}.x": x, f"in.{length}.w": w, f"out.{length}.y": y}
            held |= {f"grad.{length}.{name}": p.grad.clone() for name, p in block.named_parameters() if p.grad is not None}
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.cuda = cuda
    write("r8-block-fft", "safari", "src/models/sequence/block_fft.py BlockFFT", config, held,
          "DFT matrices moved by deviation 0.05; x and y are [H, N, 2]; transforms of 64, 256 and 512, that of 512 recurses")


# S4D

def s4d(case, seed, length, d_model, steps, **config):
    module = original("safari", "models.sequence.ssm.s4d")
    layer = made(seed, module.S4D, d_model, **config)
    held = parameters(layer)
    u = normal(seed + 1, 2, length, d_model)
    with widened(layer):
        held |= backward(layer, layer, u, seed + 2)
        held["out.kernel"] = layer.kernel(L=length)
        if steps:
            with torch.no_grad():
                layer.setup_step()
                state, answers = layer.default_state(2), []
                for at in range(steps):
                    y, state = layer.step(u[:, at].double(), state)
                    answers.append(y)
                held["out.y_steps"], held["out.state"] = torch.stack(answers, dim=1), state
    write(case, "safari", "src/models/sequence/ssm/s4d.py S4D", {"d_model": d_model, **config}, held,
          f"out.y_steps: the first {steps} positions by recurrence, out.state: after them" if steps else "")


def r9():
    s4d("r9-s4d", 400, 40, 8, 20, d_state=64, transposed=False, return_state=False)
    s4d("r9-s4d-two-sided", 410, 24, 8, 0, d_state=16, channels=2, bidirectional=True, postact="glu", transposed=False,
        return_state=False)


# Language models

def language_model(case, seed, layer, length=24, **options):
    module = original("safari", "models.sequence.simple_lm")
    config = dict(d_model=16, n_layer=2, d_inner=32, vocab_size=20, layer=layer, **options)
    # The original pops from the dictionaries that it is given.
    model = stir(made(seed, module.SimpleLMHeadModel, **json.loads(json.dumps(config))), seed + 10_000)
    held = parameters(model)
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(0, 20, (2, length), generator=generator)
    labels = torch.randint(0, 20, (2, length), generator=generator)
    labels[0, :3] = -100
    with widened(model):
        logits = model(ids)[0].logits
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        held |= {"in.ids": ids, "in.labels": labels, "out.logits": logits, "out.loss": loss, **gradients(model)}
    write(case, "safari", "src/models/sequence/simple_lm.py SimpleLMHeadModel", config, held,
          "linear, embedding and norm parameters redrawn; loss: mean over labels other than -100, no dropout")


H3_LAYER = dict(_name_="h3", d_state=16, head_dim=1, mode="diag", measure="diag-lin")


def r10():
    language_model("r10-lm-h3", 500, H3_LAYER)
    language_model("r10-lm-attention", 510, None, attn_layer_idx=[0, 1], attn_cfg=dict(num_heads=2, dropout=0.1),
                   max_position_embeddings=24)
    language_model("r10-lm-s4d", 520, dict(_name_="s4d", d_state=64, transposed=False, return_state=False))
    language_model("r10-lm-hyena", 530, dict(_name_="hyena", l_max=32, order=2, filter_order=16, emb_dim=5, w=10, modulate=True,
                                             lr_pos_emb=0.0))
    language_model("r10-lm-hybrid", 540, H3_LAYER, attn_layer_idx=[1], attn_cfg=dict(num_heads=2, dropout=0.1),
                   pad_vocab_size_multiple=8)


# Monarch Mixer

def block_diagonal():
    module = original("m2", "mm.blockdiag_linear")
    held, config = {}, {}
    for name, (inputs, outputs, bias) in {"even": (12, 24, True), "plain": (12, 24, False), "uneven": (10, 14, True)}.items():
        config[name] = dict(in_features=inputs, out_features=outputs, nblocks=4, bias=bias)
        layer = made(600, module.BlockdiagLinear, inputs, outputs, nblocks=4, bias=bias)
        held |= parameters(layer, f"param.{name}.")
        with widened(layer):
            for key, value in backward(layer, layer, normal(601, 3, 5, inputs), 602).items():
                kind, rest = key.split(".", 1)
                held[f"{kind}.{name}.{rest}"] = value
    write("m1-blockdiag-linear", "m2", "bert/src/mm/blockdiag_linear.py BlockdiagLinear", config, held)


def butterfly():
    module = original("m2", "mm.blockdiag_butterfly_multiply")
    held, config = {}, {"version": 2}
    for name, (first, second) in {"square": ((4, 4, 4), (4, 4, 4)), "oblong": ((2, 6, 8), (3, 5, 4))}.items():
        x = normal(610, 3, first[0] * first[2]).double().requires_grad_()
        w1, w2 = (normal(seed, *shape).double().requires_grad_() for seed, shape in [(611, first), (612, second)])
        y = module.blockdiag_butterfly_multiply_reference(x, w1, w2)
        check = module.blockdiag_butterfly_multiply_reference(x, w1, w2, version=3)
        assert torch.allclose(y, check)
        w = normal(613, *y.shape)
        (y * w.double()).sum().backward()
        held |= {f"in.{name}.x": x, f"in.{name}.w": w, f"param.{name}.w1_bfly": w1, f"param.{name}.w2_bfly": w2,
                 f"out.{name}.y": y, f"grad.{name}.x": x.grad, f"grad.{name}.w1_bfly": w1.grad, f"grad.{name}.w2_bfly": w2.grad}
        config[name] = dict(w1=first, w2=second)
    write("m2-blockdiag-butterfly", "m2", "bert/src/mm/blockdiag_butterfly_multiply.py blockdiag_butterfly_multiply_reference",
          config, held)


def hyena_filter():
    module = original("m2", "mm.hyena_utils")
    config = dict(d_model=8, emb_dim=5, order=16, seq_len=32, w=10, bidirectional=True)
    layer = made(620, module.HyenaFilter, **config)
    held = parameters(layer)
    x = normal(621, 2, 8, 20)
    with widened(layer), torch.no_grad():
        for length in [32, 20]:
            held[f"out.filter{length}"] = layer.filter(length)
            held[f"out.filter_rev{length}"] = layer.filter_rev(length)
        ahead, back = (f(20)[0].T for f in [layer.filter, layer.filter_rev])
        held["in.x"] = x
        held["out.y"] = layer(x.double(), 20, k_fwd=ahead, k_rev=back, bias=layer.bias[None, :, None])
    write("m3-hyena-filter", "m2", "bert/src/mm/hyena_utils.py HyenaFilter", config, held,
          "filters are [1, L, d_model]; in.x and out.y are [batch, d_model, L]")


def mixer():
    module = original("m2", "mm.monarch_mixer_sequence_mixer")
    for name, options in {"two-sided": dict(bidirectional=True), "additions": dict(bidirectional=True, hyena_training_additions=True),
                          "causal": dict(bidirectional=False)}.items():
        config = dict(d_model=16, l_max=32, residual_long_conv=True, hyena_emb_dim=5, hyena_filter_order=16, **options)
        layer = made(630, module.MonarchMixerSequenceMixing, **config)
        if hasattr(layer, "layernorm"):
            stir(layer.layernorm, 633)
        held = parameters(layer)
        with widened(layer):
            held |= backward(lambda u: layer(u)[0], layer, normal(631, 2, 20, 16), 632)
        write(f"m4-mixer-{name}", "m2", "bert/src/mm/monarch_mixer_sequence_mixer.py MonarchMixerSequenceMixing", config, held)


def bert_config(**options):
    module = original("m2", "configuration_bert")
    config = dict(
        vocab_size=24, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=16,
        hidden_act="gelu", layer_norm_eps=1e-12, use_glu_mlp=True, use_monarch_mlp=True, monarch_mlp_nblocks=4,
        use_positional_encodings=True, monarch_mixer_sequence_mixing=True, residual_long_conv=True, bidirectional=True,
        long_conv_l_max=16, long_conv_kernel_learning_rate=1e-3, hyena_lr_pos_emb=1e-5, hyena_w=10, hyena_w_mod=1, hyena_wd=0.1,
        hyena_emb_dim=5, hyena_filter_order=8, hyena_filter_dropout=0.2, hyena_training_additions=False, pool_all=False,
        use_cls_token=False, sequence_token_planting=False, attention_pooling=False, expand_positional_embeddings=False,
        gather_sentence_embeddings=False, pad_token_id=0, num_labels=2) | options
    made_config = module.BertConfig(**config)
    for key, value in config.items():
        if not hasattr(made_config, key):
            setattr(made_config, key, value)
    return config, made_config


def gated_mlp():
    config, settings = bert_config()
    module = original("m2", "bert_layers")
    layer = stir(made(640, module.BertGatedLinearUnitMLP, settings), 645)
    held = parameters(layer)
    with widened(layer):
        held |= backward(layer, layer, normal(641, 2, 6, 16), 642)
    write("m5-gated-mlp", "m2", "bert/src/bert_layers.py BertGatedLinearUnitMLP", config, held)


def masked_lm():
    config, settings = bert_config()
    module = original("m2", "bert_layers")
    model = stir(made(650, module.BertForMaskedLM, settings), 10_650)
    held = parameters(model)
    generator = torch.Generator().manual_seed(651)
    ids = torch.randint(1, 24, (2, 16), generator=generator)
    ids[1, 12:] = 0
    labels = torch.where(torch.rand(2, 16, generator=generator) < 0.4, torch.randint(1, 24, (2, 16), generator=generator), -100)
    labels[1, 12:] = -100
    with widened(model), contextlib.redirect_stdout(io.StringIO()):
        with torch.no_grad():
            layers, _ = model.bert(ids, output_all_encoded_layers=True)
            held["out.embedded"] = model.bert.embeddings(ids, torch.zeros_like(ids))
            for index, hidden in enumerate(layers):
                held[f"out.hidden.{index}"] = hidden
            held["out.logits"] = model(ids).logits
        loss = model(ids, labels=labels).loss
        loss.backward()
        held |= {"in.ids": ids, "in.labels": labels, "out.loss": loss, **gradients(model)}
    write("m6-masked-lm", "m2", "bert/src/bert_layers.py BertForMaskedLM", config, held,
          "linear, embedding and norm parameters redrawn; loss: mean over labels above 0; the second row ends in padding")


def classifier():
    for name, pool_all in {"first": False, "mean": True}.items():
        config, settings = bert_config(pool_all=pool_all, num_hidden_layers=1)
        module = original("m2", "bert_layers")
        model = stir(made(660, module.BertForSequenceClassification, settings), 10_660)
        held = parameters(model)
        ids = torch.randint(1, 24, (2, 16), generator=torch.Generator().manual_seed(661))
        ids[1, 12:] = 0
        mask = (ids > 0).long()
        labels = torch.tensor([1, 0])
        with widened(model), contextlib.redirect_stdout(io.StringIO()):
            held["out.pooled"] = model.bert(ids, attention_mask=mask)[1]
            model.zero_grad()
            answer = model(ids, attention_mask=mask, labels=labels)
            answer.loss.backward()
            held |= {"in.ids": ids, "in.mask": mask, "in.labels": labels, "out.logits": answer.logits, "out.loss": answer.loss,
                     **gradients(model)}
        write(f"m7-classifier-{name}", "m2", "bert/src/bert_layers.py BertForSequenceClassification", config, held)


CASES = dict(r10=r10, r1=r1, r4=r4, r9=r9, r3=r3, r6=r6, r7=r7, r8=r8, r2=r2, r5=r5, m4=mixer, m5=gated_mlp, m1=block_diagonal,
             m6=masked_lm, m2=butterfly, m3=hyena_filter, m7=classifier)


def main():
    global originals
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--originals", type=Path, required=True, help="the folder that holds safari and m2")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {' '.join(CASES)}; all without any")
    arguments = parser.parse_args()
    originals = arguments.originals
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for case in arguments.cases or CASES:
        CASES[case]()


if __name__ == "__main__":
    main()
