internal import Memory

extension Prelude {
  /// Types whose blocks become left factors of products on their way through registers.
  static let packedTypes: Set<ElementType> = [.q4_0, .q4_1, .q8_0]

  /// For each type a function that decodes what a thread holds of a row's block of 32: of either half the pairs 2q and
  /// 2q + 8, each rounded and packed as the factor's two bfloat16 of row `h` of the thread's two.
  ///
  /// An integer is written into the mantissa of a number near 1, from which a single multiply-add takes the 1 and scales:
  /// exact, since a scale has 11 bits and what is taken off at most 13.
  static func packed(_ types: Set<ElementType>) -> String {
    guard !types.isEmpty else { return "" }
    let common = """
      // 1 + n / 2^15 where n is bits 8 to 15, 1 + n / 2^11 where it is bits 12 to 15.
      __device__ __forceinline__ float near_one(u32 bits) { return __int_as_float((int)(bits ^ 0x3F800000u)); }
      __device__ __forceinline__ u32 pair_at(const unsigned char *p) { return *(const unsigned short *)p; }
      """
    return ([common] + types.sorted { $0.rawValue < $1.rawValue }.map(definition)).joined(separator: "\n")
  }

  private static func definition(_ type: ElementType) -> String {
    let head =
      "template <int h> __device__ __forceinline__ void decode_\(type.rawValue)(const unsigned char *p, u32 quad, u32 (&x)[2][4]) {\n  const float d = from_f16(*(const unsigned short *)p);\n"
    switch type {
    case .q4_0:
      return head + """
          const float low = d * 32768.0f, lows = d * -32776.0f, high = d * 2048.0f, highs = d * -2056.0f;
        #pragma unroll
          for (int i = 0; i < 2; ++i) {
            const u32 w = pair_at(p + 2 + 2 * quad + 8 * i), v = w << 8;
            x[0][h + 2 * i] = pack_bf16(fmaf(near_one(v & 0xF00u), low, lows), fmaf(near_one(w & 0xF00u), low, lows));
            x[1][h + 2 * i] = pack_bf16(fmaf(near_one(v & 0xF000u), high, highs), fmaf(near_one(w & 0xF000u), high, highs));
          }
        }
        """
    case .q4_1:
      return head + """
          const float low = d * 32768.0f, high = d * 2048.0f, m = from_f16(*(const unsigned short *)(p + 2));
        #pragma unroll
          for (int i = 0; i < 2; ++i) {
            const u32 w = pair_at(p + 4 + 2 * quad + 8 * i), v = w << 8;
            x[0][h + 2 * i] = pack_bf16(fmaf(near_one(v & 0xF00u) - 1.0f, low, m), fmaf(near_one(w & 0xF00u) - 1.0f, low, m));
            x[1][h + 2 * i] = pack_bf16(fmaf(near_one(v & 0xF000u) - 1.0f, high, m), fmaf(near_one(w & 0xF000u) - 1.0f, high, m));
          }
        }
        """
    default:
      // The sign bit turned round makes of n the integer n + 128.
      return head + """
          const float scale = d * 32768.0f, off = d * -32896.0f;
        #pragma unroll
          for (int i = 0; i < 4; ++i) {
            const u32 w = pair_at(p + 2 + 2 * quad + 8 * i), v = w << 8;
            x[i / 2][h + i % 2 * 2] = pack_bf16(fmaf(near_one((v & 0xFF00u) ^ 0x8000u), scale, off),
                                                fmaf(near_one((w & 0xFF00u) ^ 0x8000u), scale, off));
          }
        }
        """
    }
  }
}
