#!/usr/bin/env python3
"""Writes tokenizers, a long text and its ids by the `tokenizers` library for the test `agreesOnLongText`.

  pip install gguf tokenizers sentencepiece
  compare_huggingface.py FOLDER TEXT.txt
  GODWIT_TOKENIZER_COMPARISON=FOLDER swift test -c release --filter agreesOnLongText
"""
import array
import pathlib
import sys

folder, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.argv = sys.argv[:1]
from tokenizers import normalizers, pre_tokenizers  # noqa: E402

from tokenizers_small import byte_level, families, llama2, split  # noqa: E402

kinds = families()
kinds["qwen2-nfc"] = byte_level(split(""), 600)
kinds["qwen2-nfc"].normalizer = normalizers.NFC()
kinds["gpt2-space"] = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), 600)
for scheme in ("always", "first", "never"):
    for cuts in (True, False):
        tokenizer = llama2(800)
        tokenizer.normalizer = None
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=cuts)
        kinds[f"metaspace-{scheme}-{cuts}"] = tokenizer
text = source.read_bytes().decode()
for name, tokenizer in kinds.items():
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_text(tokenizer.to_str())
    (path / "text.txt").write_bytes(text.encode())
    ids = array.array("i", tokenizer.encode(text).ids)
    (path / "ids.bin").write_bytes(ids.tobytes())
    print(name, len(ids), flush=True)
