internal import Memory

extension Prelude {
  /// Types whose blocks become left factors of products on their way through registers.
  static let packedTypes: Set<ElementType> = [.q4_0, .q4_1, .q8_0]

  /// For each type a function that decodes what a thread holds of a row's block of 32: of either half the pairs 2q and
  /// 2q + 8, each rounded and packed as the factor's two bfloat16 of row `h` of the thread's two.
  ///
  /// Integers of four bits are made bfloat16 two at a time and multiplied by the scale in two parts of eight bits and three,
  /// of which the smaller's product is exact, so that only the last addition rounds. Others go into the mantissa of a
  /// number near 1, from which a single multiply-add takes the 1 and scales: exact, since a scale has 11 bits and what is
  /// taken off at most 13.
  static func packed(_ types: Set<ElementType>) -> String {
    guard !types.isEmpty else { return "" }
    return ([packedParts] + types.sorted { $0.rawValue < $1.rawValue }.map(definition)).joined(
      separator: "\n")
  }

  private static let packedParts = """
    // Numbers in registers that the compiler takes for unknown: as constants they would each cost an instruction more.
    struct Ones {
      u32 one, flipped, pair;
      __device__ __forceinline__ Ones() : one(0x3F800000u), flipped(0x3F808000u), pair(0x43004300u) {
        asm volatile("" : "+r"(one), "+r"(flipped), "+r"(pair));
      }
    };
    __device__ __forceinline__ u32 pair_at(const unsigned char *p) { return *(const unsigned short *)p; }
    __device__ __forceinline__ u32 fma_pair(u32 a, u32 b, u32 c) {
      u32 y;
      asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(c));
      return y;
    }
    __device__ __forceinline__ u32 multiply_pair(u32 a, u32 b) {
      u32 y;
      asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
      return y;
    }
    __device__ __forceinline__ u32 subtract_pair(u32 a, u32 b) {
      u32 y;
      asm("sub.rn.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
      return y;
    }
    // 1 + n / 2^15 where n is bits 8 to 15, 1 + n / 2^11 where it is bits 12 to 15.
    // In one instruction, which the compiler would make two.
    template <u32 mask> __device__ __forceinline__ float near_one(u32 bits, u32 one) {
      u32 y;
      asm("lop3.b32 %0, %1, %2, %3, 0x6A;" : "=r"(y) : "r"(bits), "n"(mask), "r"(one));
      return __int_as_float((int)y);
    }
    """

  private static func definition(_ type: ElementType) -> String {
    let head =
      "template <int h> __device__ __forceinline__ void decode_\(type.rawValue)(const unsigned char *p, u32 quad, const Ones &ones, u32 (&x)[2][4]) {\n  const float d = from_f16(*(const unsigned short *)p);\n"
    switch type {
    case .q4_0:
      return head + """
          // d in two parts, each for both numbers of a pair.
          const u32 large = pack_bf16(d, d);
          const float rest = d - __int_as_float((int)(large << 16));
          const u32 small = pack_bf16(rest, rest);
        #pragma unroll
          for (int i = 0; i < 2; ++i) {
            // The two bytes apart, then 128 + n in either half, then n - 8.
            const u32 w = __byte_perm(pair_at(p + 2 + 2 * quad + 8 * i), 0, 0x4140);
            const u32 low = subtract_pair((w & 0x000F000Fu) ^ ones.pair, 0x43084308u);
            const u32 high = subtract_pair((w >> 4 & 0x000F000Fu) ^ ones.pair, 0x43084308u);
            x[0][h + 2 * i] = fma_pair(low, large, multiply_pair(low, small));
            x[1][h + 2 * i] = fma_pair(high, large, multiply_pair(high, small));
          }
        }
        """
    case .q4_1:
      return head + """
          const float low = d * 32768.0f, high = d * 2048.0f, m = from_f16(*(const unsigned short *)(p + 2));
        #pragma unroll
          for (int i = 0; i < 2; ++i) {
            const u32 w = pair_at(p + 4 + 2 * quad + 8 * i), v = w << 8;
            x[0][h + 2 * i] = pack_bf16(fmaf(near_one<0xF00u>(v, ones.one) - 1.0f, low, m),
                                        fmaf(near_one<0xF00u>(w, ones.one) - 1.0f, low, m));
            x[1][h + 2 * i] = pack_bf16(fmaf(near_one<0xF000u>(v, ones.one) - 1.0f, high, m),
                                        fmaf(near_one<0xF000u>(w, ones.one) - 1.0f, high, m));
          }
        }
        """
    default:
      // Turning the sign bit round makes of n the integer n + 128.
      return head + """
          const float scale = d * 32768.0f, off = d * -32896.0f;
        #pragma unroll
          for (int i = 0; i < 4; ++i) {
            const u32 w = pair_at(p + 2 + 2 * quad + 8 * i), v = w << 8;
            x[i / 2][h + i % 2 * 2] = pack_bf16(fmaf(near_one<0xFF00u>(v, ones.flipped), scale, off),
                                                fmaf(near_one<0xFF00u>(w, ones.flipped), scale, off));
          }
        }
        """
    }
  }
}
