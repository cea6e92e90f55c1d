extension Prelude {
  /// Conversions, fragments and shared memory of the pipelined form.
  static let numbers = """
    #define INFINITY_F __int_as_float(0x7F800000)
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
    __device__ __forceinline__ float from_bf16(unsigned short x) { return __int_as_float((int)x << 16); }
    __device__ __forceinline__ float from_f16(unsigned short x) {
      float y;
      asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
      return y;
    }
    // Halves of a register. Shifts would do, but the compiler makes two loads, or two registers, of a word that is shifted.
    __device__ __forceinline__ float low_bf16(u32 x) { return __int_as_float((int)(x << 16)); }
    __device__ __forceinline__ float high_bf16(u32 x) { return __int_as_float((int)(x & 0xFFFF0000u)); }
    __device__ __forceinline__ float low_f16(u32 x) {
      float y;
      asm("{.reg .b16 low, high;\\nmov.b32 {low, high}, %1;\\ncvt.f32.f16 %0, low;}" : "=f"(y) : "r"(x));
      return y;
    }
    __device__ __forceinline__ float high_f16(u32 x) {
      float y;
      asm("{.reg .b16 low, high;\\nmov.b32 {low, high}, %1;\\ncvt.f32.f16 %0, high;}" : "=f"(y) : "r"(x));
      return y;
    }
    __device__ __forceinline__ float round_bf16(float x) { return from_bf16((unsigned short)pack_bf16(x, 0.0f)); }
    __device__ __forceinline__ float round_f16(float x) { return from_f16((unsigned short)pack_f16(x, 0.0f)); }
    // Combine the two sums of a lane and those of the four lanes that share a row.
    __device__ __forceinline__ float sum_quad(float x, float y) {
      x += y;
      x += __shfl_xor_sync(0xFFFFFFFFu, x, 1);
      return x + __shfl_xor_sync(0xFFFFFFFFu, x, 2);
    }
    __device__ __forceinline__ float max_quad(float x, float y) {
      x = fmaxf(x, y);
      x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 1));
      return fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 2));
    }
    template <int m, int n> __device__ __forceinline__ void fill(float (&t)[m][n], float value) {
    #pragma unroll
      for (int b = 0; b < m; ++b)
    #pragma unroll
        for (int i = 0; i < n; ++i) t[b][i] = value;
    }
    template <int m, int n> __device__ __forceinline__ void clear_columns(float (&t)[m][n], int column, int bound) {
    #pragma unroll
      for (int b = 0; b < m; ++b)
    #pragma unroll
        for (int i = 0; i < n; ++i) {
          if (i / 4 * 8 + (i & 1) + column >= bound) t[b][i] = 0.0f;
          asm volatile("" : "+f"(t[b][i]));  // stays in the branch that calls it
        }
    }
    template <int m, int n> __device__ __forceinline__ void clear_rows(float (&t)[m][n], int bound) {
    #pragma unroll
      for (int b = 0; b < m; ++b)
    #pragma unroll
        for (int i = 0; i < n; ++i) {
          if (64 * b + 8 * (i >> 1 & 1) >= bound) t[b][i] = 0.0f;
          asm volatile("" : "+f"(t[b][i]));
        }
    }
    // Offset of a byte of a row: panels of `span` bytes, 16-byte chunks exchanged by row.
    template <int span, int panel> __device__ __forceinline__ u32 swizzled(u32 row, u32 byte) {
      u32 offset = row * span + byte % span;
      return byte / span * panel + (offset ^ ((offset % (8 * span)) >> 7 << 4));
    }
    __device__ __forceinline__ void shared_store_2(u32 address, float x, float y) {
      asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(x), "f"(y) : "memory");
    }
    __device__ __forceinline__ void store_matrices(u32 address, u32 a, u32 b, u32 c, u32 d) {
      asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                   ::"r"(address), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
    }
    __device__ __forceinline__ void load_matrices(u32 (&w)[4], u32 address) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "r"(address));
    }
    __device__ __forceinline__ void store_transposed_matrices(u32 address, u32 a, u32 b, u32 c, u32 d) {
      asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};"
                   ::"r"(address), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
    }
    """
}
