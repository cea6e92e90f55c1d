#!/usr/bin/env python3
"""Writes random blocks of every quantised format and what the `gguf` library makes of them.

  pip install gguf numpy
  quants.py > Tests/CMicrokernelsTests/quants.txt

A line: the type's number in microkernels.h, the bytes of blocks of 512 numbers together,
the float32 results, both in hexadecimal, float32 as little-endian bytes.
"""
import gguf
import numpy as np
from gguf.quants import dequantize

# Number in microkernels.h, gguf's type, numbers a block, bytes a block, where float16 fields lie.
FORMATS = [
    (5, "Q4_0", 32, 18, [0]), (6, "Q4_1", 32, 20, [0, 2]), (7, "Q5_0", 32, 22, [0]), (8, "Q5_1", 32, 24, [0, 2]),
    (9, "Q8_0", 32, 34, [0]), (10, "Q4_K", 256, 144, [0, 2]), (11, "Q5_K", 256, 176, [0, 2]),
    (12, "Q6_K", 256, 210, [208]),
]
random = np.random.default_rng(20)
for number, name, elements, size, halves in FORMATS:
    data = random.integers(0, 256, (256 // elements * 2, size), dtype=np.uint8)
    for row, block in enumerate(data):
        for at in halves:
            # Signed scales of every finite size, subnormal in the first block.
            bits = random.integers(1, 0x400 if row == 0 else 0x7C00, dtype=np.uint16) | (random.integers(0, 2) << 15)
            block[at:at + 2] = np.frombuffer(np.uint16(bits).tobytes(), dtype=np.uint8)
    values = dequantize(data, getattr(gguf.GGMLQuantizationType, name)).astype("<f4")
    print(number, data.tobytes().hex(), values.tobytes().hex())
