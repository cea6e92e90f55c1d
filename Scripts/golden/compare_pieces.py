#!/usr/bin/env python3
"""Compares `godwit tokenize` on SentencePiece and WordPiece vocabularies with `sentencepiece` and `tokenizers`.

The vocabularies are trained here; one of BERT's holds every character alone and continued, so that each step of the
normalizer shows in the ids. Prints one line a case.

  pip install gguf tokenizers sentencepiece
  compare_pieces.py GODWIT FOLDER [MEGABYTES]     (10 by default)
"""
import json
import pathlib
import random
import subprocess
import sys
import time
import unicodedata

import gguf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

sys.argv, arguments = sys.argv[:1], sys.argv[1:]
from tokenizers_small import bert, sentencepiece  # noqa: E402

godwit, folder = arguments[0], pathlib.Path(arguments[1])
megabytes = float(arguments[2]) if len(arguments) > 2 else 10
folder.mkdir(parents=True, exist_ok=True)

rng = random.Random(5)
ranges = [(0x20, 0x7E), (1, 0x1F), (0xA0, 0x24F), (0x300, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xE7F),
          (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2150, 0x218F), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
          (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0x1F300, 0x1FAFF), (0xE0020, 0xE007F)]


def varied():
    parts, size = [], 0
    for root in ("/usr/share/common-licenses", "/usr/share/doc", "/usr/lib/python3", "/usr/include"):
        for path in sorted(p for p in pathlib.Path(root).rglob("*") if p.is_file()):
            if size > megabytes * 0.7e6:
                break
            try:
                text = path.read_text(encoding="utf-8").replace("\0", "")
            except (UnicodeDecodeError, OSError):
                continue
            parts.append(text)
            size += len(text.encode())
    while size < megabytes * 1e6:
        out = []
        for _ in range(2000):
            low, high = rng.choice(ranges)
            out += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 10))]
            out.append(rng.choice(["", " ", "  ", "\n", "\u2581", "::", "   ", " the ", "'s ", "123", "##"]))
        parts.append("".join(out))
        size += len(parts[-1].encode())
    return "\n".join(parts + ["a" * 50000, " " * 50000, "=" * 50000, "日" * 20000, "👩‍👩‍👧‍👦🇩🇪" * 500])


def write(name, model, tokens, types, scores=None, **ids):
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores:
        writer.add_token_scores(scores)
    for key, value in ids.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


differences = 0
names = []


def compare(title, model, text, encode):
    global differences
    path = folder / "text.txt"
    path.write_bytes(text.encode())
    start = time.time()
    expected = encode(text)
    theirs = time.time() - start
    run = subprocess.run([godwit, "tokenize", "--file", path, "--model", model], capture_output=True, check=True)
    found = [int(x) for x in run.stdout.split()]
    count = subprocess.run([godwit, "tokenize", "--file", path, "--model", model, "--count"], capture_output=True,
                           check=True)
    size = len(text.encode()) / 1e6
    wrong = sum(a != b for a, b in zip(expected, found)) + abs(len(expected) - len(found))
    speed = json.loads(count.stdout)["mb_s"]
    print(f"{title}: {size:.1f} MB, {len(expected)} tokens, ours {len(found)}; {wrong} different;"
          f" theirs {size / theirs:.2f} MB/s, ours {speed} MB/s", flush=True)
    if wrong:
        differences += 1
        first = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b), 0)
        print("  first at", first, expected[max(0, first - 4):first + 4], found[max(0, first - 4):first + 4],
              [ascii(names[i]) for i in expected[max(0, first - 4):first + 4] if i < len(names)])


def scalars():
    return [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) != "Co"]


def wordpiece(name, library, tokens):
    marked = [t if t.startswith("[") and len(t) > 2 else t[2:] if t.startswith("##") and len(t) > 2 else "\u2581" + t
              for t in tokens]
    types = [3 if t.startswith("[") and len(t) > 2 else 1 for t in tokens]
    return write(name, "bert", marked, types, unknown=tokens.index("[UNK]"), cls=tokens.index("[CLS]"),
                 seperator=tokens.index("[SEP]"))


text = varied()
processor = sentencepiece(900)
count = processor.GetPieceSize()
kinds = [2 if processor.IsUnknown(i) else 3 if processor.IsControl(i) else 6 if processor.IsByte(i)
         else 4 if processor.IdToPiece(i) in ("::", "▁▁▁") else 1 for i in range(count)]
model = write("sentencepiece", "llama", [processor.IdToPiece(i) for i in range(count)], kinds,
              [processor.GetScore(i) for i in range(count)], bos=1, eos=2)
compare("sentencepiece", model, text, lambda t: [1] + processor.EncodeAsIds(t))

trained = bert(2000, True)
vocabulary = trained.get_vocab()
names = [name for name, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
compare("bert", wordpiece("bert", trained, names), text, lambda t: trained.encode(t).ids)

# GGUF marks beginnings by ▁, so a vocabulary cannot tell "##▁" from the beginning of nothing.
every = [c for c in scalars() if unicodedata.category(c) != "Cn" and c != "\u2581"]
names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *every, *("##" + c for c in every)]
library = Tokenizer(models.WordPiece({n: i for i, n in enumerate(names)}, unk_token="[UNK]"))
library.normalizer = normalizers.BertNormalizer()
library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
library.post_processor = processors.TemplateProcessing(
    "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
model = wordpiece("bert-characters", library, names)
compare("bert, every character", model, "".join(f"x{c}y {c} " for c in every), lambda t: library.encode(t).ids)
compare("bert, characters", model, text.replace("\u2581", ""), lambda t: library.encode(t).ids)
sys.exit(differences > 0)
