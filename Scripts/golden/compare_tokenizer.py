#!/usr/bin/env python3
"""Compares `godwit tokenize` with the `tokenizers` library on varied text; prints the differences (none are expected).

  pip install gguf tokenizers
  compare_tokenizer.py GODWIT MODEL.gguf MEGABYTES
"""
import pathlib
import random
import subprocess
import sys
import time

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers

godwit, model, megabytes = sys.argv[1], sys.argv[2], float(sys.argv[3])
reader = gguf.GGUFReader(model)
tokens = reader.fields["tokenizer.ggml.tokens"].contents()
merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])

rng = random.Random(1)
ranges = [(0x20, 0x7E), (0, 0x1F), (0xA0, 0x24F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xE7F),
          (0x1100, 0x11FF), (0x2000, 0x206F), (0x2150, 0x218F), (0x2460, 0x24FF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
          (0xAC00, 0xD7A3), (0xFE00, 0xFE0F), (0x1F300, 0x1FAFF), (0x1D7C0, 0x1D7FF), (0xE0020, 0xE007F)]


def noise(count):
    out = []
    while len(out) < count:
        low, high = rng.choice(ranges)
        out += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 12))]
        out.append(rng.choice(["", " ", "  ", "\n", "\t", " \n\n ", "\u3000", "'s", "'ll ", "123"]))
    return "".join(out)


parts, size = [], 0
files = [p for root in ("/usr/share/common-licenses", "/usr/share/doc", "/usr/lib/python3", "/usr/include")
         for p in sorted(pathlib.Path(root).rglob("*")) if p.is_file()]
for path in files:
    if size > megabytes * 0.8e6:
        break
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        continue
    parts.append(text)
    size += len(text.encode())
while size < megabytes * 1e6:
    text = noise(20000)
    parts.append(text)
    size += len(text.encode())
parts += ["a" * 5000, " " * 3000, "\n" * 3000, "👩‍👩‍👧‍👦🇩🇪" * 200]
whole = "\n".join(parts)
pathlib.Path("/tmp/compare.txt").write_text(whole, encoding="utf-8", newline="")
start = time.time()
expected = tokenizer.encode(whole).ids
theirs = time.time() - start
found = [int(x) for x in subprocess.run(
    [godwit, "tokenize", "--file", "/tmp/compare.txt", "--model", model], capture_output=True, check=True).stdout.split()]
speed = subprocess.run([godwit, "tokenize", "--file", "/tmp/compare.txt", "--model", model, "--count"],
                       capture_output=True, check=True).stdout.decode().strip()
first = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b), None)
print(f"{size / 1e6:.1f} MB, {len(expected)} tokens, ours {len(found)}; tokenizers {size / theirs / 1e6:.2f} MB/s; ours {speed}")
if expected != found:
    at = first if first is not None else min(len(expected), len(found))
    print("first difference at", at, expected[at - 3:at + 5], found[at - 3:at + 5],
          repr(tokenizer.decode(expected[at - 5:at + 5])))
    sys.exit(1)
print("no difference")
