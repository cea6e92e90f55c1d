// What the routines share among themselves: block unpacking and the names the table lists.
#ifndef GODWIT_INTERNAL_H
#define GODWIT_INTERNAL_H

#include <math.h>
#include <string.h>

#include "microkernels.h"

#define GW_DECLARE(suffix)                                                                                         \
  void gw_matmul_f32_##suffix(long m, long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,         \
                              const float *b, ptrdiff_t b_row, ptrdiff_t b_panel, float *c, ptrdiff_t c_row,       \
                              int accumulate);                                                                     \
  void gw_matmul_rows_##suffix(gw_type type, long m, long n, long k, const float *a, ptrdiff_t a_row,              \
                               ptrdiff_t a_column, const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, \
                               int accumulate);                                                                    \
  void gw_pack_rows_##suffix(gw_type type, long n, long k, const void *src, ptrdiff_t src_row_bytes, float *dst);  \
  void gw_pack_columns_##suffix(gw_type type, long k, long n, const void *src, ptrdiff_t src_row_bytes,            \
                                float *dst);                                                                       \
  void gw_to_float_##suffix(gw_type type, long count, const void *src, float *dst);                                \
  void gw_from_float_##suffix(gw_type type, long count, const float *src, void *dst);                              \
  void gw_quantize_rows_##suffix(long m, long k, const float *x, ptrdiff_t x_row, void *dst,                       \
                                 ptrdiff_t dst_row_bytes);                                                         \
  void gw_matmul_q16_##suffix(gw_type type, long m, long n, long k, const void *x, ptrdiff_t x_row_bytes,           \
                             const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate,      \
                             void *workspace);                                                                     \
  void gw_map_##suffix(const gw_map_op *ops, long op_count, const gw_operand *operands, long rows, long columns);

GW_DECLARE(portable)
#if defined(__x86_64__)
// Whether this processor runs the routines for AVX2.
static inline int gw_has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

GW_DECLARE(avx2)
// One row of activations; returns how many of the n outputs it has computed, the first ones.
long gw_dot_q16_avx2(gw_type type, long n, long k, const void *x, const void *w, ptrdiff_t w_row_bytes, float *c,
                     int accumulate);
#endif

// 32 numbers of a block format as integers: value = scale[h] * (q - zero) + offset[h] for the half h = i / 16.
typedef struct {
  int8_t q[32];
  float scale[2];
  float offset[2];
  int zero;
} gw_block;

// Numbers and bytes of one stored block; 0 for scalars.
static inline long gw_block_elements(gw_type type) {
  switch (type) {
    case GW_Q4_0: case GW_Q4_1: case GW_Q5_0: case GW_Q5_1: case GW_Q8_0: return 32;
    case GW_Q4_K: case GW_Q5_K: case GW_Q6_K: return 256;
    default: return 0;
  }
}

static inline long gw_block_bytes(gw_type type) {
  switch (type) {
    case GW_Q4_0: return 18;
    case GW_Q4_1: return 20;
    case GW_Q5_0: return 22;
    case GW_Q5_1: return 24;
    case GW_Q8_0: return 34;
    case GW_Q4_K: return 144;
    case GW_Q5_K: return 176;
    case GW_Q6_K: return 210;
    case GW_F32: case GW_I32: return 4;
    case GW_F16: case GW_BF16: return 2;
    default: return 1;
  }
}

// The nearest whole number, ties to even; NaN is 0.
static inline int32_t gw_to_word(float x) {
  if (x != x) return 0;
  if (x >= 0x1p31f) return INT32_MAX;
  return x < -0x1p31f ? INT32_MIN : (int32_t)rintf(x);
}

// Panels of 16 columns from rows of scalars of any type, four panels at a time along the rows.
static inline void gw_pack_widened(void (*to_float)(gw_type, long, const void *, float *), gw_type type, long k,
                                   long n, const void *src, ptrdiff_t src_row_bytes, float *dst) {
  for (long j = 0; j < n; j += 64) {
    const long width = n - j < 64 ? n - j : 64;
    float chunk[64] = {0};
    for (long p = 0; p < k; p++) {
      to_float(type, width, (const char *)src + p * src_row_bytes + j * gw_block_bytes(type), chunk);
      for (long i = 0; i < width; i += 16) memcpy(dst + (j + i) * k + p * 16, chunk + i, 16 * sizeof(float));
    }
  }
}

// The group of 32 numbers number `group` of a row that starts at `row`.
void gw_unpack_block(gw_type type, const uint8_t *row, long group, gw_block *out);

static inline float gw_half(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = (h >> 10) & 31, mantissa = h & 1023, bits;
  if (exponent == 0) {
    float value = (float)mantissa * 0x1p-24f;
    return sign ? -value : value;
  }
  bits = exponent == 31 ? sign | 0x7F800000u | mantissa << 13 : sign | (exponent + 112) << 23 | mantissa << 13;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

#endif
