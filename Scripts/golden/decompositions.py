#!/usr/bin/env python3
"""Writes Sources/Tokenizers/DecompositionTable.swift from Python's unicodedata (any Unicode version; it is stated).

  decompositions.py > Sources/Tokenizers/DecompositionTable.swift

Only what is left of a canonical decomposition without its nonspacing marks is kept, and only where that differs from
the character itself. Hangul syllables are left to arithmetic.
"""
import sys
import unicodedata

rows = []
for code in range(0x110000):
    if 0xD800 <= code < 0xE000 or 0xAC00 <= code <= 0xD7A3:
        continue
    full = unicodedata.normalize("NFD", chr(code))
    if full == chr(code):
        continue
    rows.append((code, [ord(c) for c in full if unicodedata.category(c) != "Mn"]))

print(f"""// Scripts/golden/decompositions.py wrote this from Unicode {unicodedata.unidata_version}.

/// Characters that decompose, each followed by what is left of it without nonspacing marks.
enum DecompositionTable {{
  /// Each row: the character, then the parts that are left, in hexadecimal.
  static let text: StaticString = \"\"\"""")
line = "   "
for code, parts in rows:
    item = " " + ",".join(f"{c:X}" for c in [code, *parts])
    if len(line) + len(item) > 108:
        print(line + " \\")
        line = "   "
    line += item
print(line + "\n    \"\"\"\n}")
print(len(rows), "rows", file=sys.stderr)
