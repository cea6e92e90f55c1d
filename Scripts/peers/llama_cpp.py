#!/usr/bin/env python3
"""Times llama.cpp on a GGUF file, shape by shape as `godwit bench generate` does, one JSON line each.

  Scripts/peers/setup
  .peers/bin/python Scripts/peers/llama_cpp.py [--model FILE] [--threads 2] [--repeats 3] [--only TEXT]

llama.cpp comes out of the wheel of xllamacpp, whose library exports the C interface. What is timed:
  prompt N                     one prompt of N tokens into an empty cache, the last token's logits (llama-bench -p N)
  decode 128                   128 single tokens from an empty cache (llama-bench -n 128)
  batch 32 own prompts 128     32 steps of 32 sequences, each after its own 128 tokens (llama-batched-bench)
  batch 32 shared prefix 2048  the same after 2,048 tokens that all share (llama-batched-bench -pps -kvu)
Prompts are not part of the decoding times. ms is the median of the repeats, after one run that does not count.
"""
import argparse
import ctypes
import json
import os
import random
import statistics
import struct
import sys
import time

import xllamacpp


class Parameters(ctypes.Structure):
    """Parameters by value: larger than llama.cpp's structs, whose fields lie at the offsets below."""
    _fields_ = [("bytes", ctypes.c_uint8 * 512)]

    def put(self, layout, offset, value):
        struct.pack_into(layout, self.bytes, offset, value)

    def get(self, layout, offset):
        return struct.unpack_from(layout, self.bytes, offset)[0]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)),
                ("embedding", ctypes.POINTER(ctypes.c_float)), ("position", ctypes.POINTER(ctypes.c_int32)),
                ("sequence_count", ctypes.POINTER(ctypes.c_int32)),
                ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ("logits", ctypes.POINTER(ctypes.c_int8))]


# Offsets in llama_context_params of the release that Scripts/peers/setup pins, and the defaults found there.
CONTEXT, BATCH, MICRO_BATCH, SEQUENCES, THREADS, BATCH_THREADS, TYPE_K, UNIFIED = 0, 4, 8, 12, 28, 32, 104, 141
DEFAULTS = ((CONTEXT, 512), (BATCH, 2048), (MICRO_BATCH, 512), (SEQUENCES, 1), (THREADS, 4), (BATCH_THREADS, 4),
            (TYPE_K, 1), (136, 0x01010100))
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
silent = LOG(lambda level, text, data: None)


def library():
    lib = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    lib.llama_model_default_params.restype = Parameters
    lib.llama_context_default_params.restype = Parameters
    lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Parameters]
    lib.llama_init_from_model.argtypes = [ctypes.c_void_p, Parameters]
    for name in ("llama_model_load_from_file", "llama_init_from_model", "llama_get_memory", "llama_model_get_vocab"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    lib.llama_vocab_n_tokens.argtypes = [ctypes.c_void_p]
    lib.llama_get_memory.argtypes = lib.llama_synchronize.argtypes = lib.llama_free.argtypes = [ctypes.c_void_p]
    lib.llama_memory_clear.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    lib.llama_memory_seq_cp.argtypes = [ctypes.c_void_p] + [ctypes.c_int32] * 4
    lib.llama_memory_seq_rm.argtypes = [ctypes.c_void_p] + [ctypes.c_int32] * 3
    lib.llama_memory_seq_rm.restype = ctypes.c_bool
    lib.llama_batch_init.argtypes = [ctypes.c_int32] * 3
    lib.llama_batch_init.restype = Batch
    lib.llama_batch_free.argtypes = [Batch]
    lib.llama_decode.argtypes = [ctypes.c_void_p, Batch]
    lib.llama_n_ctx_seq.argtypes = [ctypes.c_void_p]
    lib.llama_n_ctx_seq.restype = ctypes.c_uint32
    lib.llama_log_set.argtypes = [LOG, ctypes.c_void_p]
    lib.llama_log_set(silent, None)
    return lib


class Session:
    """One context with room for so many positions and sequences."""

    def __init__(self, lib, model, vocabulary, threads, positions, sequences, unified):
        parameters = lib.llama_context_default_params()
        for offset, default in DEFAULTS:
            if parameters.get("<i", offset) != default:
                sys.exit("llama_cpp.py: this llama.cpp lays its parameters out otherwise; use the release that "
                         "Scripts/peers/setup installs.")
        for offset, value in ((CONTEXT, positions), (SEQUENCES, sequences), (THREADS, threads),
                              (BATCH_THREADS, threads)):
            parameters.put("<i", offset, value)
        parameters.put("<?", UNIFIED, unified)
        self.lib, self.vocabulary, self.room = lib, vocabulary, 2048
        self.random = random.Random(0)
        self.context = lib.llama_init_from_model(model, parameters)
        if not self.context:
            sys.exit(f"llama_cpp.py: no context of {positions} positions.")
        expected = positions if unified else positions // sequences
        if lib.llama_n_ctx_seq(self.context) < expected:
            sys.exit(f"llama_cpp.py: a sequence has {lib.llama_n_ctx_seq(self.context)} positions, not {expected}.")
        self.memory = lib.llama_get_memory(self.context)
        self.batch = lib.llama_batch_init(self.room, 0, 1)

    def close(self):
        self.lib.llama_batch_free(self.batch)
        self.lib.llama_free(self.context)

    def clear(self):
        self.lib.llama_memory_clear(self.memory, False)

    def run(self, rows):
        """Computes rows of (position, sequence, wants logits) with random tokens."""
        for start in range(0, len(rows), self.room):
            part = rows[start:start + self.room]
            self.batch.count = len(part)
            for i, (position, sequence, logits) in enumerate(part):
                self.batch.token[i] = self.random.randrange(100, self.vocabulary)
                self.batch.position[i] = position
                self.batch.sequence_count[i] = 1
                self.batch.sequence[i][0] = sequence
                self.batch.logits[i] = logits
            status = self.lib.llama_decode(self.context, self.batch)
            if status != 0:
                sys.exit(f"llama_cpp.py: llama_decode gave {status}.")
        self.lib.llama_synchronize(self.context)


def timed(body):
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def prompt(session, length):
    session.clear()
    rows = [(i, 0, i == length - 1) for i in range(length)]
    return timed(lambda: session.run(rows))


def decode(session, sequences, steps, prompt_length, shared):
    session.clear()
    if prompt_length:
        if shared:
            session.run([(i, 0, i == prompt_length - 1) for i in range(prompt_length)])
            for sequence in range(1, sequences):
                session.lib.llama_memory_seq_cp(session.memory, 0, sequence, -1, -1)
        else:
            session.run([(i, s, i == prompt_length - 1) for s in range(sequences) for i in range(prompt_length)])

    def body():
        for step in range(steps):
            session.run([(prompt_length + step, s, True) for s in range(sequences)])

    return timed(body)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = os.environ.get("GODWIT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "godwit")
    parser.add_argument("--model", default=os.path.join(cache, "SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="only shapes whose name contains this")
    arguments = parser.parse_args()
    lib = library()
    print("llama_cpp.py:", xllamacpp.get_system_info(), file=sys.stderr)
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(arguments.model.encode(), lib.llama_model_default_params())
    if not model:
        sys.exit(f"llama_cpp.py: llama.cpp cannot load {arguments.model}.")
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    # shape, positions, sequences, unified cache, tokens a run, run
    shapes = [
        ("prompt 512", 512, 1, False, 512, lambda s: prompt(s, 512)),
        ("prompt 2048", 2048, 1, False, 2048, lambda s: prompt(s, 2048)),
        ("decode 128", 128, 1, False, 128, lambda s: decode(s, 1, 128, 0, False)),
        ("batch 32 own prompts 128", 32 * 160, 32, False, 32 * 32, lambda s: decode(s, 32, 32, 128, False)),
        ("batch 32 shared prefix 2048", 2048 + 32 * 32, 32, True, 32 * 32, lambda s: decode(s, 32, 32, 2048, True)),
    ]
    for shape, positions, sequences, unified, tokens, body in shapes:
        if arguments.only not in shape:
            continue
        # llama.cpp rounds a sequence's share up to 256 positions by itself; ask for whole ones.
        share = positions if unified else positions // sequences
        room = -(-share // 256) * 256 * (1 if unified else sequences)
        session = Session(lib, model, vocabulary, arguments.threads, room, sequences, unified)
        body(session)
        seconds = statistics.median(body(session) for _ in range(arguments.repeats))
        session.close()
        print(json.dumps({"op": "generate", "shape": shape, "peer": f"llama.cpp (xllamacpp {xllamacpp.__version__})",
                          "threads": arguments.threads, "ms": round(seconds * 1e3, 3),
                          "tok_s": round(tokens / seconds, 1)}), flush=True)


main()
