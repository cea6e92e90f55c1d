#!/usr/bin/env python3
"""Writes the token ids of Debian's Apache licence under SmolLM2's vocabulary, made with the `tokenizers` library.

  pip install gguf tokenizers
  apache_tokens.py MODEL.gguf > Tests/ModelsTests/Golden/apache_tokens.txt

Byte-level BPE; digits are split off one by one before GPT-2's pattern. No BOS.
"""
import sys
import gguf
from tokenizers import Tokenizer, models, pre_tokenizers

reader = gguf.GGUFReader(sys.argv[1])
tokens = reader.fields["tokenizer.ggml.tokens"].contents()
merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
text = open("/usr/share/common-licenses/Apache-2.0", encoding="utf-8").read()
print(" ".join(map(str, tokenizer.encode(text).ids)))
