#!/usr/bin/env python3
"""Writes broken model files, each of which must be refused with a message.

  broken-files.py FOLDER                 writes the files
  broken-files.py FOLDER -- COMMAND ...  then runs COMMAND FILE on each: exit code not 0, a message,
                                         no signal, peak memory below 64 MiB
  broken-files.py --fuzz FOLDER          writes them, and good ones, as first inputs of Scripts/fuzz
"""
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

MEMORY_LIMIT = 64 << 20
# What torch.save itself wrote, for the tests.
PYTORCH = Path(__file__).resolve().parents[1] / "Tests" / "FormatsTests" / "PyTorch"


def u8(n): return struct.pack("<B", n)
def u32(n): return struct.pack("<I", n & 0xFFFFFFFF)
def u64(n): return struct.pack("<Q", n & 0xFFFFFFFFFFFFFFFF)
def f32(x): return struct.pack("<f", x)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return u64(len(data)) + data


def key(name, kind, payload): return text(name) + u32(kind) + payload
def array(name, kind, count, payload=b""): return key(name, 9, u32(kind) + u64(count) + payload)


def tensor(name="weight", dims=(4, 2), kind=0, offset=0, axes=None):
    count = len(dims) if axes is None else axes
    return text(name) + u32(count) + b"".join(u64(d) for d in dims) + u32(kind) + u64(offset)


KEYS = [key("general.architecture", 8, text("llama")), key("llama.block_count", 4, u32(3))]
DATA = b"".join(f32(i) for i in range(8))


def gguf(magic=b"GGUF", version=3, keys=(), tensors=None, key_count=None, tensor_count=None, align=32,
         data=DATA, base=KEYS):
    keys = list(base) + list(keys)
    tensors = [tensor()] if tensors is None else tensors
    head = magic + u32(version)
    head += u64(len(tensors) if tensor_count is None else tensor_count)
    head += u64(len(keys) if key_count is None else key_count)
    head += b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % align) + data


def broken_gguf():
    """The cases that llama.cpp's own test of its reader lists, those of known CVEs, and some more."""
    good = gguf()
    yield "header-empty", b""
    yield "header-three-bytes", b"GGU"
    yield "header-magic-only", b"GGUF"
    yield "header-no-counts", good[:8]
    yield "header-bad-magic", gguf(magic=b"GGML")
    yield "header-version-0", gguf(version=0)
    yield "header-version-1", gguf(version=1)
    yield "header-version-4", gguf(version=4)
    yield "header-version-max", gguf(version=-1)
    yield "header-big-endian", gguf(version=3 << 24)
    yield "header-tensors-max", gguf(tensor_count=-1)
    yield "header-tensors-half", gguf(tensor_count=1 << 63)
    yield "header-tensors-million", gguf(tensor_count=1_000_000)
    yield "header-tensors-one-more", gguf(tensor_count=2)
    yield "header-keys-max", gguf(key_count=-1)
    yield "header-keys-60000", gguf(key_count=60_000)
    yield "header-keys-one-more", gguf(key_count=3)
    yield "key-empty", gguf(keys=[key("", 4, u32(1))])
    yield "key-long", gguf(keys=[key("k" * 65_536, 4, u32(1))])
    yield "key-length-max", gguf(base=[], keys=[u64(-1) + b"k" * 64])
    yield "key-not-utf8", gguf(keys=[key(b"\xc3\x28", 4, u32(1))])
    yield "key-nul", gguf(keys=[key(b"a\0", 4, u32(1))])
    yield "key-duplicate", gguf(keys=[KEYS[1]])
    yield "key-type-13", gguf(keys=[key("x", 13, u32(1))])
    yield "key-type-minus-1", gguf(keys=[key("x", -1, u32(1))])
    yield "key-element-type-99", gguf(keys=[array("x", 99, 1, u32(1))])
    yield "key-nested-array", gguf(keys=[array("x", 9, 1, u32(4) + u64(1) + u32(1))])
    yield "key-string-1GiB", gguf(keys=[key("x", 8, u64(1 << 30))])
    yield "key-string-max", gguf(keys=[key("x", 8, u64(-1))])
    yield "key-array-1Gi", gguf(keys=[array("x", 0, 1 << 30)])
    yield "key-array-wraps", gguf(keys=[array("x", 12, 1 << 61)])
    yield "key-strings-huge", gguf(keys=[array("x", 8, 1 << 59)])
    yield "key-strings-long", gguf(keys=[array("x", 8, 1, u64(0xFFFFFFFF))])
    for name, value in [("0", 0), ("3", 3), ("31-bit", 1 << 31), ("max", -1)]:
        yield f"alignment-{name}", gguf(keys=[key("general.alignment", 4, u32(value))])
    yield "alignment-uint64", gguf(keys=[key("general.alignment", 10, u64(32))])
    yield "alignment-string", gguf(keys=[key("general.alignment", 8, text("32"))])
    yield "alignment-array", gguf(keys=[array("general.alignment", 4, 1, u32(32))])
    yield "alignment-inconsistent", gguf(
        keys=[key("general.alignment", 4, u32(64))], align=64, data=DATA * 2,
        tensors=[tensor(), tensor("second", (8,), offset=32)])
    for name, one in [
        ("name-empty", tensor(name="")), ("name-long", tensor(name="n" * 1025)),
        ("name-not-utf8", tensor(name=b"\xff")), ("axes-5", tensor(dims=(4, 2, 1, 1, 1))),
        ("axes-max", tensor(axes=-1)), ("dim-zero", tensor(dims=(4, 0))), ("dim-negative", tensor(dims=(-1, 2))),
        ("count-overflows", tensor(dims=(1 << 32, 1 << 32))),
        ("count-wraps-small", tensor(dims=(1 << 32, 1 << 31, 3, 1 << 33))),
        ("bytes-overflow", tensor(dims=(1 << 62,))), ("bytes-overflow-int64", tensor(dims=(1 << 61,), kind=27)),
        ("end-wraps", tensor(dims=(1 << 60,), offset=-32)), ("type-10000", tensor(kind=10_000)),
        ("type-max", tensor(kind=-1)), ("block-partial", tensor(kind=3)), ("offset-unaligned", tensor(offset=16)),
        ("offset-beyond", tensor(offset=32)), ("offset-max", tensor(offset=-32)),
        ("larger-than-file", tensor(dims=(1 << 20, 1 << 10))),
    ]:
        yield f"tensor-{name}", gguf(tensors=[one])
    yield "tensor-duplicate", gguf(tensors=[tensor(), tensor(offset=32)], data=DATA * 2)
    yield "tensor-overlap", gguf(tensors=[tensor(), tensor("second", (8,))])
    yield "data-cut", gguf(data=DATA[:-1])
    yield "data-none", gguf(data=b"")
    yield "data-no-padding", gguf(data=b"", align=1)
    yield "split-second", gguf(keys=[key("split.count", 2, b"\2\0"), key("split.no", 2, b"\1\0")])
    yield "split-alone", gguf(keys=[key("split.count", 2, b"\2\0"), key("split.no", 2, b"\0\0")])
    for length in (9, 24, 40, 70, 100, len(good) - 33):
        yield f"cut-at-{length}", good[:length]


def safetensors(header, data=b"", length=None):
    head = header if isinstance(header, bytes) else header.encode()
    return u64(len(head) if length is None else length) + head + data


def entry(dtype="F32", shape=(4,), offsets=(0, 16), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def broken_safetensors():
    """Breaches of each rule of the format."""
    sixteen = bytes(range(16))
    one = '"a":' + json.dumps(entry())

    def single(**fields): return safetensors(json.dumps({"a": entry(**fields)}), sixteen)

    yield "empty", b""
    yield "seven-bytes", b"\2\0\0\0\0\0\0"
    yield "header-100MB-and-1", safetensors("{}", length=100_000_001)
    yield "header-max", safetensors("{}", length=-1)
    yield "header-beyond-file", safetensors("{}", length=99_999_999)
    yield "header-empty", safetensors("")
    yield "header-array", safetensors("[]")
    yield "header-space-first", safetensors(" {}")
    yield "header-not-utf8", safetensors(b'{"\xff":1}')
    yield "header-cut", safetensors("{" + one, sixteen)
    yield "header-text-behind", safetensors("{" + one + "}x", sixteen)
    yield "header-deep", safetensors('{"a":' + "[" * 100_000)
    yield "header-nan", safetensors('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,16]}}', sixteen)
    yield "duplicate-tensor", safetensors("{" + one + "," + one + "}", sixteen)
    yield "duplicate-field", safetensors(
        '{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}', sixteen)
    yield "dtype-unknown", single(dtype="F33")
    yield "dtype-number", single(dtype=1)
    for field in ("dtype", "shape", "data_offsets"):
        fields = entry()
        del fields[field]
        yield f"{field}-missing", safetensors(json.dumps({"a": fields}), sixteen)
    yield "tensor-no-object", safetensors('{"a":7}')
    yield "shape-negative", single(shape=(-4,))
    yield "shape-fraction", single(shape=(4.0,))
    yield "shape-small", single(shape=(3,))
    yield "shape-large", single(shape=(5,))
    yield "shape-overflows", single(shape=(1 << 32, 1 << 32))
    yield "shape-past-int64", single(shape=(1 << 63,))
    yield "offsets-three", single(offsets=(0, 8, 16))
    yield "offsets-backwards", single(offsets=(16, 0))
    yield "offsets-negative", single(offsets=(-16, 0))
    yield "offset-past-file", safetensors("{" + one + "}", sixteen[:15])
    yield "offset-max", single(dtype="U8", shape=(0,), offsets=((1 << 63) - 1, (1 << 63) - 1))
    yield "trailing-bytes", safetensors("{" + one + "}", sixteen + b"x")
    yield "data-without-tensors", safetensors("{}", b"data")
    yield "hole-at-start", single(dtype="U8", shape=(12,), offsets=(4, 16))

    def pair(first, second):
        return safetensors(json.dumps({
            "a": entry("U8", (first[1] - first[0],), first), "b": entry("U8", (second[1] - second[0],), second)}),
            sixteen)

    yield "hole-between", pair((0, 8), (9, 16))
    yield "overlap", pair((0, 8), (7, 16))
    yield "same-bytes-twice", pair((0, 16), (0, 16))
    yield "sub-byte", safetensors(json.dumps({"a": entry("F4", (3,), (0, 2))}), b"ab")
    yield "metadata-number", safetensors('{"__metadata__":{"n":1}}')
    yield "metadata-array", safetensors('{"__metadata__":[]}')


def archive(pickle, storage=bytes(16), version="3\n", method=zipfile.ZIP_STORED, more=()):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, data in [("a/data.pkl", b"\x80\2" + pickle), ("a/version", version), ("a/data/0", storage), *more]:
            out.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return file.getvalue()


def unicode(word): return b"X" + u32(len(word)) + word.encode()
def integer(n): return b"\x8a\x08" + u64(n)
def strided(items): return b"(" + b"".join(integer(n) for n in items) + b"t"


def float_tensor(count=4, offset=0, shape=(4,), strides=(1,), entry="0"):
    """A dictionary of one tensor."""
    return (b"}" + unicode("a") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage")
            + b"ctorch\nFloatStorage\n" + unicode(entry) + unicode("cpu") + integer(count) + b"tQ" + integer(offset)
            + strided(shape) + strided(strides) + b"\x89}tRs.")


def broken_pytorch():
    """Breaches of the rules of archives and pickles, and pickles that would run something."""
    good = archive(float_tensor())
    yield "compressed", archive(float_tensor(), method=zipfile.ZIP_DEFLATED)
    yield "version-9", archive(float_tensor(), version="9")
    yield "big-endian", archive(float_tensor(), more=[("a/byteorder", "big")])
    yield "two-pickles", archive(float_tensor(), more=[("b/data.pkl", b"N.")])
    yield "runs-system", archive(b"cos\nsystem\n" + unicode("true") + b"\x85R.")
    yield "runs-eval", archive(b"cbuiltins\neval\n" + unicode("1") + b"\x85R.")
    yield "old-instance", archive(b"(ios\nsystem\n.")
    yield "text-1GiB", archive(b"X" + u32(1 << 30) + b".")
    yield "text-max", archive(b"\x8d" + u64(-1) + b".")
    yield "no-stop", archive(b"}")
    yield "marks", archive(b"(" * 100_000)
    yield "lists", archive(b"]" * 1000 + b"a" * 999 + b".")
    yield "cycle", archive(b"]q\0h\0a.")
    doubling = b"]q\0" + b"".join(b"]q" + u8(n) + b"(h" + u8(n - 1) + b"h" + u8(n - 1) + b"e" for n in range(1, 60))
    yield "doubling", archive(b"(" + doubling + b"t.")
    yield "storage-none", archive(float_tensor(entry="9"))
    yield "storage-outside", archive(float_tensor(entry="../version"))
    yield "storage-large", archive(float_tensor(count=5))
    yield "storage-max", archive(float_tensor(count=(1 << 63) - 1))
    yield "storage-negative", archive(float_tensor(count=-1))
    for name, fields in [
        ("shape-large", dict(shape=(5,))), ("shape-overflows", dict(shape=(1 << 32, 1 << 32), strides=(0, 0))),
        ("shape-negative", dict(shape=(-4,))), ("stride-large", dict(strides=(2,))),
        ("stride-overflows", dict(strides=(1 << 62,))), ("stride-negative", dict(offset=3, strides=(-1,))),
        ("offset-large", dict(offset=1)), ("offset-max", dict(offset=(1 << 63) - 1)), ("axes-differ", dict(shape=(2, 2))),
    ]:
        yield name, archive(float_tensor(**fields))
    for length in (3, 30, 100, len(good) - 60, len(good) - 1):
        yield f"cut-at-{length}", good[:length]
    for name in ("evil", "legacy", "script", "conjugate"):
        yield name, (PYTORCH / f"{name}.pt").read_bytes()


def good_pytorch():
    """Files by torch.save, and their pickles alone."""
    for path in sorted(PYTORCH.glob("*.pt")):
        yield f"good-{path.name}", path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                name = next(n for n in file.namelist() if n.endswith("/data.pkl"))
                yield f"good-{path.stem}.pickle", file.read(name)


def good_files():
    everything = [key(f"k{kind}", kind, b"\1" + b"\0" * (size - 1))
                  for kind, size in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)]]
    everything += [array("words", 8, 2, text("a") + text("é")), array("ids", 5, 2, u32(1) + u32(2))]
    yield "good.gguf", gguf(keys=everything)
    yield "good-q8.gguf", gguf(tensors=[tensor(dims=(32,), kind=8)], data=b"\0" * 34)
    yield "good.safetensors", safetensors(json.dumps({"__metadata__": {"a": "b"}, "a": entry()}), bytes(16))
    yield "good.json", b'{"a":[1,-2.5e3,"\\u00e9\\ud83d\\ude00",true,null,{"b":{}}]}'


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def corpus(folder):
    os.makedirs(folder, exist_ok=True)
    names = []
    for ending, cases in (("gguf", broken_gguf()), ("safetensors", broken_safetensors()), ("pt", broken_pytorch())):
        for name, data in cases:
            names.append(f"{name}.{ending}")
            write(folder, names[-1], data)
    return names


def fuzz_corpus(folder):
    """The first byte picks the parser, as Fuzz/Fuzz.swift reads it."""
    os.makedirs(folder, exist_ok=True)
    files = [(f"{n}.gguf", d) for n, d in broken_gguf()] + [(f"{n}.safetensors", d) for n, d in broken_safetensors()]
    files += [(f"{n}.pt", d) for n, d in broken_pytorch()] + list(good_pytorch())
    for name, data in files + list(good_files()):
        parser = {"json": 0, "gguf": 1, "safetensors": 2, "pt": 3, "pickle": 4}[name.rsplit(".", 1)[1]]
        write(folder, name, bytes([parser]) + data)


def run(folder, names, command):
    bad = 0
    for name in names:
        process = subprocess.Popen(command + [os.path.join(folder, name)], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        output = process.stdout.read().decode(errors="replace").strip()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss * 1024
        fine = process.returncode > 0 and output and peak < MEMORY_LIMIT
        bad += not fine
        last = output.splitlines()[-1][:160] if output else "(no message)"
        print(f"{'ok ' if fine else 'BAD'} {name}: exit {process.returncode}, {peak >> 20} MiB: {last}")
    print(f"{len(names)} files, {bad} not refused as they must be")
    return 1 if bad else 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--fuzz":
        fuzz_corpus(arguments[1])
        return 0
    if not arguments or arguments[0].startswith("-") or (len(arguments) > 1 and arguments[1] != "--"):
        print(__doc__, file=sys.stderr)
        return 2
    names = corpus(arguments[0])
    if len(arguments) > 2:
        return run(arguments[0], names, arguments[2:])
    print(f"{len(names)} files in {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
