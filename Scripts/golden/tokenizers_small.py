#!/usr/bin/env python3
"""Writes Tests/TokenizersTests/Golden/*.json: small tokenizers trained here, with ids by the `tokenizers` library.

  pip install tokenizers sentencepiece gguf
  tokenizers_small.py FOLDER [SMOLLM2.gguf]

Each file holds `tokenizer` (the library's own tokenizer.json), `cases` ([text, ids] without, and `framed` with what
the template adds) and for SentencePiece the pieces as GGUF has them: `pieces` ([name, score, type]).
"""
import io
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from families import split

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
folder.mkdir(parents=True, exist_ok=True)

CORPUS = """The engine reads one long document and answers many questions about it. It's fast, isn't it? We'll see.
They've said they'd come; I'm sure you're right. THE END'S NEAR. In 1984, 42 people paid $3.50 each, or 12,345.67.
func add(_ a: Int, b: Int) -> Int { return a + b }  // adds
    if (x == 0) { for (int i = 0; i < 10; ++i) printf("%d\\n", i); }
for i in range(100):\n\tprint(i, end=" ")\n\n
Ein schöner Tag für Überraschungen: Straße, Größe, Äpfel. L'été dernier, où êtes-vous allés? El niño comió piña.
Съешь ещё этих мягких французских булок, да выпей чаю. Η γρήγορη αλεπού πηδάει πάνω από το σκυλί.
日本語の文章です。東京は大きい。中文文本也在这里。한국어 문장도 있습니다.
العربية لغة جميلة. עברית שפה יפה. हिन्दी एक भाषा है। ภาษาไทยก็มี
😀 😃 👍🏽 👩‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 ❤️  aaaa aaaaaaaa ======== -------- ........ !!!! ???
""" * 4

TEXTS = [
    "", " ", "a", "Hello, world!", "The engine reads one long document.", "  two spaces  and   three   ",
    "It's we'll THEY'VE I'M you'Re 'tis 's 'S 'ſ ''re", "1 12 123 1234 12345 3.14 1,000,000 ½ Ⅷ ٣٤ ², x1y22z333",
    "tab\tand\nnewline\r\nand\r\rmore \n \n\n  \n   end  ", " \t \n ", "\u00a0nbsp\u3000wide\u2028line\u0085next",
    "func add(_ a: Int, b: Int) -> Int { return a + b }  // adds\n    if (x == 0) { return; }\n",
    "for i in range(100):\n\tprint(i, end=\" \")\n", "snake_case camelCase HTTPServer2 $x @y #z 50% a&b",
    "caf\u00e9 cafe\u0301 \u00c5 A\u030a \u212b \ud55c\uae00 \u1112\u1161\u11ab \u1e69 s\u0323\u0307 s\u0307\u0323",
    "Straße Größe ÄÖÜ ŒUVRE İstanbul ıI ǅ ﬁ ŉ Σίσυφος ὈΔΥΣΣΕΎΣ", "Съешь ещё этих мягких булок", "日本語と中文、한국어。𠀀𪜀",
    "العربية لغة עִבְרִית हिन्दी क्षत्रिय ภาษาไทย தமிழ் ကမြန်မာ", "😀👍🏽 👩‍👩‍👧‍👦🇩🇪🇩🇪 🏳️‍🌈❤️ \U0001f9d1\u200d\U0001f680",
    "a\u200db\u200c\ufeff\u00ad\u2060\u202e zero\u200bwidth", "\x00\x01\x02\x1b[0m\x7f\x80\x9f end", "\ufffd \ufffe \U0010ffff \ue000",
    "a" * 200, " " * 130, "\n" * 70, "=" * 99 + "-" * 51, "ab" * 120, "日" * 64, "aaaa aaaaaaaa aaaaaaaaaaaaaaaa",
    "<|end|>", "x<|end|>y <|end|> <s></s> [CLS] [MASK] <unk> [UNK]", "▁ ▁a a▁b ▁▁", "## ##ing a##b", "<0x41> <0xFF>",
    "supercalifragilisticexpialidocious " + "antidisestablishmentarianism" * 5, "x" * 100 + " " + "y" * 101,
    "don't can't won't we've—it’s ‘quoted’ “double” …", "http://example.com/a?b=c&d=%20#frag me@mail.org 2024-01-31T12:00",
]

rng = random.Random(3)
RANGES = [(0x20, 0x7E), (0, 0x1F), (0xA0, 0x24F), (0x300, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xE7F),
          (0x2000, 0x206F), (0x2150, 0x218F), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1F6FF)]
for _ in range(12):
    text = []
    for _ in range(12):
        low, high = rng.choice(RANGES)
        text += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))]
        text.append(rng.choice(["", " ", "  ", "\n", "\t", "'s", "'ll ", "123", "the "]))
    TEXTS.append("".join(text))

def byte_level(pre_tokenizer, size, ignore_merges=False, frame=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        [CORPUS], trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True, normalized=False)])
    if frame:
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing("<|end|> $A", special_tokens=[("<|end|>", tokenizer.token_to_id("<|end|>"))])])
    return tokenizer


def llama2(size):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    # Trained on words; the trained model runs over whole texts, as Llama 2's does.
    trainee = Tokenizer(models.BPE(unk_token="<unk>"))
    trainee.pre_tokenizer = pre_tokenizers.Metaspace()
    trainee.train_from_iterator(
        CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=size, special_tokens=specials, limit_alphabet=150,
                                               show_progress=False))
    trained = json.loads(trainee.to_str())["model"]
    tokenizer.model = models.BPE(trained["vocab"], [tuple(m) for m in trained["merges"]], byte_fallback=True,
                                 fuse_unk=True, unk_token="<unk>")
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def bert(size, lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        [CORPUS], trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials, limit_alphabet=160,
                                            show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def plain(tokenizer, text):
    """Ids of text in which special tokens are text."""
    copy = json.loads(tokenizer.to_str())
    copy["added_tokens"] = [t for t in copy["added_tokens"] if not t["special"]]
    copy["post_processor"] = None
    return copy


def write(name, content):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(name, path.stat().st_size)


def sentencepiece(size):
    import sentencepiece as spm
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.split("\n")), model_writer=model, model_type="bpe", vocab_size=size,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=0.985, user_defined_symbols=["::", "▁▁▁"], allow_whitespace_only_pieces=True, split_digits=True,
        minloglevel=2)
    return spm.SentencePieceProcessor(model_proto=model.getvalue())


def families():
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    return {
        "gpt2": byte_level(level, 700),
        "smollm": byte_level(pre_tokenizers.Sequence([digits, level]), 600),
        "llama3": byte_level(split("{1,3}"), 700, ignore_merges=True, frame=True),
        "qwen2": byte_level(split(""), 600),
        "llama2": llama2(800),
        "bert": bert(600, True),
        "bert-cased": bert(600, False),
    }


if __name__ == "__main__":
    for name, tokenizer in families().items():
        without = Tokenizer.from_str(json.dumps(plain(tokenizer, "")))
        cases = [{"text": t, "plain": without.encode(t, add_special_tokens=False).ids,
                  "special": tokenizer.encode(t).ids} for t in TEXTS]
        write(name, {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases})
    processor = sentencepiece(900)

    def kind(i):
        return (2 if processor.IsUnknown(i) else 3 if processor.IsControl(i) else 6 if processor.IsByte(i)
                else 5 if processor.IsUnused(i) else 4 if processor.IdToPiece(i) in ("::", "▁▁▁") else 1)

    pieces = [[processor.IdToPiece(i), processor.GetScore(i), kind(i)] for i in range(processor.GetPieceSize())]
    # sentencepiece reads NUL as the end of nothing; it is left out.
    cases = [{"text": t, "plain": processor.EncodeAsIds(t), "decoded": processor.DecodeIds(processor.EncodeAsIds(t))}
             for t in TEXTS if "\0" not in t]
    write("sentencepiece", {"pieces": pieces, "cases": cases})
    if len(sys.argv) > 2:
        import gguf
        fields = gguf.GGUFReader(sys.argv[2]).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
        library = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        library.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        library.decoder = decoders.ByteLevel()
        cases = [{"text": t, "plain": library.encode(t).ids, "decoded": library.decode(library.encode(t).ids)}
                 for t in TEXTS + ["a <|im_start|>user\n<|im_end|>"]]
        library.add_special_tokens(
            [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents()) if kind == 3])
        for case in cases:
            case["special"] = library.encode(case["text"]).ids
        write("smollm2", {"cases": cases})
