#!/usr/bin/env python3
"""Compares the word boundaries of every pre-tokenizer with the `tokenizers` library; prints one line a case.

A trained vocabulary hides boundaries: bytes of a rare letter merge with nothing, wherever the word is cut. The
vocabulary made here merges every byte with each of a few neighbours, so a boundary in the wrong place changes an id.

  pip install gguf tokenizers
  compare_boundaries.py GODWIT FOLDER [SCALARS]     (SCALARS: every how many-th scalar, 1 by default)
"""
import pathlib
import random
import subprocess
import sys

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers

from families import split

godwit, folder = sys.argv[1], pathlib.Path(sys.argv[2])
step = int(sys.argv[3]) if len(sys.argv) > 3 else 1
folder.mkdir(parents=True, exist_ok=True)


def alphabet():
    """GPT-2's character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


byte = alphabet()
merges = [(byte[ord(left)], byte[b]) for left in "x1!' \n" for b in range(256)]
merges += [(byte[b], "x") for b in range(256)] + [("11", "11"), ("11", "1")]
merges = list(dict.fromkeys(merges))
# "zqzq" is reached by no merge: only a tokenizer that ignores merges for whole words gives it.
tokens = list(dict.fromkeys([*byte.values(), *(a + b for a, b in merges), "zqzq"]))

bytelevel = pre_tokenizers.ByteLevel(add_prefix_space=False)
families = {
    "gpt-2": (bytelevel, False),
    "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytelevel]), False),
    "qwen2": (split(""), False),
    "llama-bpe": (split("{1,3}"), True),
}

rng = random.Random(7)
pieces = [" ", "  ", "\t", "\n", "\r\n", "\r", "\n \n", "\u00a0", "\u3000", "\u2028", "\u0085", "\x1c", "'S", "'ſ",
          "'LL", "'lL", "'Ve", "'re", "'", "''s", "1", "11", "12345", "٣٤", "½", "Ⅷ", "a", "x", "Ab", "é", "e\u0301",
          "日本", "क्ष", "!", "...", "—", "👩‍👩‍👧", "🇩🇪", "\u200d", "\ufeff", "_", "$x", "\x00", "\u180e", "\u200b",
          "\u212a", "ʼ", "İ", "zqzq", " zqzq"]
scalars = (chr(c) for c in range(0, 0x110000, step) if not 0xD800 <= c < 0xE000)
texts = {
    "mixed": "".join(rng.choice(pieces) for _ in range(500_000)),
    "scalars": "".join(f"x{c} 1{c}1 !{c} '{c}x {c}x\n {c}\n  {c}\t" for c in scalars),
}

differences = 0
for name, (pre_tokenizer, ignores_merges) in families.items():
    model = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(model, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list(tokens)
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    library = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=ignores_merges))
    library.pre_tokenizer = pre_tokenizer
    for title, text in texts.items():
        path = folder / f"{title}.txt"
        path.write_bytes(text.encode())
        encoding = library.encode(text)
        run = subprocess.run([godwit, "tokenize", "--file", path, "--model", model], capture_output=True, check=True)
        found = [int(x) for x in run.stdout.split()]
        print(f"{name} {title}: {len(text.encode()) / 1e6:.1f} MB, {len(encoding.ids)} tokens, ours {len(found)}:",
              "no difference" if found == encoding.ids else "DIFFERENT", flush=True)
        if found != encoding.ids:
            differences += 1
            pairs = enumerate(zip(encoding.ids, found))
            first = next((i for i, (a, b) in pairs if a != b), min(len(found), len(encoding.ids)) - 1)
            at = encoding.offsets[first][0]
            print(f"  first at character {at}: {ascii(text[max(0, at - 12):at + 12])}")
sys.exit(differences > 0)
