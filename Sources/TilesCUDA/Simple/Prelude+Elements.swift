extension Prelude {
  /// Numbers of every type in memory: how to read one, several in one access, and how to round to one.
  static let elements = """
    typedef unsigned char u8;
    typedef unsigned short u16;
    typedef unsigned int u32;
    typedef unsigned long long u64;
    #define INFINITY_F __int_as_float(0x7F800000)
    __device__ __forceinline__ float from_bf16(u32 x) { return __int_as_float((int)(x << 16)); }
    __device__ __forceinline__ float from_f16(u32 x) {
      float y;
      asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"((u16)x));
      return y;
    }
    // The first number goes to the lower half.
    __device__ __forceinline__ u32 pack_bf16(float low, float high) {
      u32 y;
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
      return y;
    }
    __device__ __forceinline__ u32 pack_f16(float low, float high) {
      u32 y;
      asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
      return y;
    }
    __device__ __forceinline__ int to_int8(float x) { return x != x ? 0 : (int)fminf(fmaxf(rintf(x), -127.0f), 127.0f); }
    __device__ __forceinline__ float round_bf16(float x) { return from_bf16(pack_bf16(x, 0.0f) & 0xFFFFu); }
    __device__ __forceinline__ float round_f16(float x) { return from_f16(pack_f16(x, 0.0f)); }
    __device__ __forceinline__ float round_int8(float x) { return (float)to_int8(x); }
    // A type: numbers in a block, its bytes, number i of it; for plain types also number i of some words, and
    // the word that packs the numbers from i on.
    struct float32 {
      static const int size = 1, bytes = 4;
      static __device__ __forceinline__ float at(const u8 *p, int) { return *(const float *)p; }
      static __device__ __forceinline__ float unpack(const u32 *w, int i) { return __int_as_float((int)w[i]); }
      static __device__ __forceinline__ u32 pack(const float *x) { return (u32)__float_as_int(x[0]); }
      static __device__ __forceinline__ void put(u8 *p, float x) { *(float *)p = x; }
      static __device__ __forceinline__ void add(u8 *p, float x) { atomicAdd((float *)p, x); }
    };
    struct bfloat16 {
      static const int size = 1, bytes = 2;
      static __device__ __forceinline__ float at(const u8 *p, int) { return from_bf16(*(const u16 *)p); }
      static __device__ __forceinline__ float unpack(const u32 *w, int i) {
        return i & 1 ? __int_as_float((int)(w[i / 2] & 0xFFFF0000u)) : from_bf16(w[i / 2]);
      }
      static __device__ __forceinline__ u32 pack(const float *x) { return pack_bf16(x[0], x[1]); }
      static __device__ __forceinline__ void put(u8 *p, float x) { *(u16 *)p = (u16)pack_bf16(x, 0.0f); }
    };
    struct float16 {
      static const int size = 1, bytes = 2;
      static __device__ __forceinline__ float at(const u8 *p, int) { return from_f16(*(const u16 *)p); }
      static __device__ __forceinline__ float unpack(const u32 *w, int i) { return from_f16(w[i / 2] >> (i & 1) * 16); }
      static __device__ __forceinline__ u32 pack(const float *x) { return pack_f16(x[0], x[1]); }
      static __device__ __forceinline__ void put(u8 *p, float x) { *(u16 *)p = (u16)pack_f16(x, 0.0f); }
    };
    struct int8 {
      static const int size = 1, bytes = 1;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*(const signed char *)p; }
      static __device__ __forceinline__ float unpack(const u32 *w, int i) {
        return (float)(signed char)(w[i / 4] >> i % 4 * 8);
      }
      static __device__ __forceinline__ u32 pack(const float *x) {
        u32 y = 0;
    #pragma unroll
        for (int i = 0; i < 4; ++i) y |= ((u32)to_int8(x[i]) & 255u) << 8 * i;
        return y;
      }
      static __device__ __forceinline__ void put(u8 *p, float x) { *(signed char *)p = (signed char)to_int8(x); }
    };
    struct int32 {
      static const int size = 1, bytes = 4;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*(const int *)p; }
      static __device__ __forceinline__ float unpack(const u32 *w, int i) { return (float)(int)w[i]; }
      static __device__ __forceinline__ u32 pack(const float *x) { return (u32)__float2int_rn(x[0]); }
      static __device__ __forceinline__ void put(u8 *p, float x) { *(int *)p = __float2int_rn(x); }
      static __device__ __forceinline__ void add(u8 *p, float x) { atomicAdd((int *)p, __float2int_rn(x)); }
    };
    struct float64 {
      static const int size = 1, bytes = 8;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*(const double *)p; }
    };
    struct int64 {
      static const int size = 1, bytes = 8;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*(const long long *)p; }
    };
    struct int16 {
      static const int size = 1, bytes = 2;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*(const short *)p; }
    };
    struct uint8 {
      static const int size = 1, bytes = 1;
      static __device__ __forceinline__ float at(const u8 *p, int) { return (float)*p; }
    };
    // Number `offset` of a tensor.
    template <class T> __device__ __forceinline__ float element(const u8 *p, long long offset) {
      if (T::size == 1) return T::at(p + offset * T::bytes, 0);
      const u64 place = (u64)offset;
      return T::at(p + place / T::size * T::bytes, (int)(place % T::size));
    }
    """

  /// The block formats, as `ElementType.decode` defines them.
  static let blocks = """
    __device__ __forceinline__ float half_at(const u8 *p) { return from_f16(*(const u16 *)p); }
    __device__ __forceinline__ int nibble(const u8 *p, int i) { return i < 16 ? p[i] & 15 : p[i - 16] >> 4; }
    struct q4_0 {
      static const int size = 32, bytes = 18;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        return half_at(p) * (float)(nibble(p + 2, i) - 8);
      }
    };
    struct q4_1 {
      static const int size = 32, bytes = 20;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        return half_at(p) * (float)nibble(p + 4, i) + half_at(p + 2);
      }
    };
    struct q5_0 {
      static const int size = 32, bytes = 22;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        return half_at(p) * (float)((nibble(p + 6, i) | (p[2 + i / 8] >> i % 8 & 1) << 4) - 16);
      }
    };
    struct q5_1 {
      static const int size = 32, bytes = 24;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        return half_at(p) * (float)(nibble(p + 8, i) | (p[4 + i / 8] >> i % 8 & 1) << 4) + half_at(p + 2);
      }
    };
    struct q8_0 {
      static const int size = 32, bytes = 34;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        return half_at(p) * (float)(signed char)p[2 + i];
      }
    };
    // Scale and minimum of a group of 32, 6 bits each in 12 bytes.
    __device__ __forceinline__ float scaled(const u8 *p, int group, int q) {
      const int scale = group < 4 ? p[4 + group] & 63 : (p[8 + group] & 15) | p[group] >> 6 << 4;
      const int minimum = group < 4 ? p[8 + group] & 63 : p[8 + group] >> 4 | p[4 + group] >> 6 << 4;
      return half_at(p) * (float)scale * (float)q - half_at(p + 2) * (float)minimum;
    }
    struct q4_K {
      static const int size = 256, bytes = 144;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        const int group = i / 32, byte = p[16 + group / 2 * 32 + i % 32];
        return scaled(p, group, group % 2 == 0 ? byte & 15 : byte >> 4);
      }
    };
    struct q5_K {
      static const int size = 256, bytes = 176;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        const int group = i / 32, byte = p[48 + group / 2 * 32 + i % 32];
        const int high = p[16 + i % 32] >> group & 1;
        return scaled(p, group, (group % 2 == 0 ? byte & 15 : byte >> 4) | high << 4);
      }
    };
    struct q6_K {
      static const int size = 256, bytes = 210;
      static __device__ __forceinline__ float at(const u8 *p, int i) {
        const int part = i / 128, quarter = i % 128 / 32, column = i % 32;
        const int byte = p[part * 64 + column + quarter % 2 * 32];
        const int low = quarter < 2 ? byte & 15 : byte >> 4;
        const int high = p[128 + part * 32 + column] >> 2 * quarter & 3;
        const int scale = (signed char)p[192 + part * 8 + quarter * 2 + column / 16];
        return half_at(p + 208) * (float)scale * (float)((low | high << 4) - 32);
      }
    };
    // Rows of integer groups: number `offset`, scaled. Rows have `width` numbers.
    __device__ __forceinline__ float q16_element(const u8 *p, int width, long long offset) {
      const u64 row = (u64)offset / (u32)width;
      const int column = (int)((u64)offset - row * (u32)width);
      const u8 *start = p + row * (u64)(width / 32 * 72);
      const int place = (column & ~3) + (column & 1) * 2 + (column & 3) / 2;
      return (float)((const short *)start)[place] * ((const float *)(start + 2 * width))[column / 32];
    }
    """

  /// Elementwise functions with NaN passed on.
  static let functions = """
    __device__ __forceinline__ float smaller(float x, float y) {
      float z;
      asm("min.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
      return z;
    }
    __device__ __forceinline__ float larger(float x, float y) {
      float z;
      asm("max.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
      return z;
    }
    // Philox4x32-10: the words of four columns.
    __device__ __forceinline__ void random_words(u32 (&x)[4], u32 seed, u32 stream, u32 row, u32 group) {
      u32 k0 = seed, k1 = 0;
      x[0] = group, x[1] = row, x[2] = stream, x[3] = 0;
    #pragma unroll
      for (int round = 0; round < 10; ++round) {
        const u64 a = (u64)x[0] * 0xD2511F53u, b = (u64)x[2] * 0xCD9E8D57u;
        x[0] = (u32)(b >> 32) ^ x[1] ^ k0;
        x[1] = (u32)b;
        x[2] = (u32)(a >> 32) ^ x[3] ^ k1;
        x[3] = (u32)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
      }
    }
    // A number in 0 ..< 1 for each place.
    __device__ __forceinline__ float random_at(u32 seed, u32 stream, u32 row, u32 column) {
      u32 x[4];
      random_words(x, seed, stream, row, column / 4);
      const u32 low = column % 2 ? x[1] : x[0], high = column % 2 ? x[3] : x[2];
      return (float)((column % 4 < 2 ? low : high) >> 8) * 0x1p-24f;
    }
    template <int lanes> __device__ __forceinline__ float lanes_sum(float x) {
    #pragma unroll
      for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xFFFFFFFFu, x, step);
      return x;
    }
    template <int lanes> __device__ __forceinline__ float lanes_max(float x) {
    #pragma unroll
      for (int step = lanes / 2; step > 0; step /= 2) x = larger(x, __shfl_xor_sync(0xFFFFFFFFu, x, step));
      return x;
    }
    """
}
