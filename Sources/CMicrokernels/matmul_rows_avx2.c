// Products of few rows with the rows of W as they lie: each number of W is read once and never stored again. Eight rows are transposed in
// registers, so that a lane is an output and its sum the same chain as in matmul_f32.
#include "rows_avx2.h"

#if defined(__x86_64__)
// Outputs of 8 * groups rows of W for `rows` rows of A.
INLINE void block(const gw_type type, const int rows, const int groups, long k, const float *a, ptrdiff_t a_row,
                  ptrdiff_t a_column, const uint8_t *w, ptrdiff_t w_row, float *c, ptrdiff_t c_row, int accumulate) {
  __m256 sum[6][4];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++)
      sum[i][g] = accumulate ? _mm256_loadu_ps(c + i * c_row + 8 * g) : _mm256_setzero_ps();
  long p = 0;
  for (; p + 8 <= k; p += 8)
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      __m256 r[8];
      const uint8_t *at = w + 8 * g * w_row + p * SCALAR_BYTES(type);
#pragma clang loop unroll(full)
      for (int l = 0; l < 8; l++) _mm_prefetch((const char *)at + l * w_row + 512, _MM_HINT_T0);
      columns_8(type, at, w_row, r);
#pragma clang loop unroll(full)
      for (int l = 0; l < 8; l++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
          sum[i][g] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + i * a_row + (p + l) * a_column), r[l], sum[i][g]);
    }
  for (; p < k; p++)
    for (int g = 0; g < groups; g++) {
      float column[8];
      for (int l = 0; l < 8; l++)
        gw_to_float_portable(type, 1, w + (8 * g + l) * w_row + p * SCALAR_BYTES(type), column + l);
      __m256 right = _mm256_loadu_ps(column);
      for (int i = 0; i < rows; i++)
        sum[i][g] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + i * a_row + p * a_column), right, sum[i][g]);
    }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) _mm256_storeu_ps(c + i * c_row + 8 * g, sum[i][g]);
}

// As many groups as leave registers for eight rows beside the sums.
#define GROUPS(rows) ((rows) == 1 ? 4 : (rows) <= 4 ? 2 : 1)
#define ROWS(name, type, rows)                                                                                       \
  AVX2 static long name##_##rows(long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,                \
                                 const uint8_t *w, ptrdiff_t w_row, float *c, ptrdiff_t c_row, int accumulate) {     \
    long j = 0;                                                                                                      \
    for (; j + 8 * GROUPS(rows) <= n; j += 8 * GROUPS(rows))                                                         \
      block(type, rows, GROUPS(rows), k, a, a_row, a_column, w + j * w_row, w_row, c + j, c_row, accumulate);        \
    for (; j + 8 <= n; j += 8)                                                                                       \
      block(type, rows, 1, k, a, a_row, a_column, w + j * w_row, w_row, c + j, c_row, accumulate);                   \
    return j;                                                                                                        \
  }
#define ALL_ROWS(name, type)                                                                                         \
  ROWS(name, type, 1)                                                                                                \
  ROWS(name, type, 2)                                                                                                \
  ROWS(name, type, 3)                                                                                                \
  ROWS(name, type, 4)                                                                                                \
  ROWS(name, type, 5)                                                                                                \
  ROWS(name, type, 6)                                                                                                \
  static const rows_function name[7] = {0, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6};
typedef long (*rows_function)(long, long, const float *, ptrdiff_t, ptrdiff_t, const uint8_t *, ptrdiff_t, float *,
                              ptrdiff_t, int);
ALL_ROWS(f32, GW_F32)
ALL_ROWS(f16, GW_F16)
ALL_ROWS(bf16, GW_BF16)

AVX2 void gw_matmul_rows_avx2(gw_type type, long m, long n, long k, const float *a, ptrdiff_t a_row,
                              ptrdiff_t a_column, const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row,
                              int accumulate) {
  const rows_function *functions = type == GW_F32 ? f32 : type == GW_F16 ? f16 : bf16;
  for (long i = 0; i < m; i += 6) {
    long rows = m - i < 6 ? m - i : 6;
    long j = functions[rows](n, k, a + i * a_row, a_row, a_column, w, w_row_bytes, c + i * c_row, c_row, accumulate);
    gw_matmul_rows_portable(type, rows, n - j, k, a + i * a_row, a_row, a_column,
                            (const uint8_t *)w + j * w_row_bytes, w_row_bytes, c + i * c_row + j, c_row, accumulate);
  }
}
#endif
