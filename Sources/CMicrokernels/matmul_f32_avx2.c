// Float32 products in blocks of 6 x 16: 12 accumulators, 2 columns of B and one broadcast fill the 16 registers.
#include "rows_avx2.h"

#if defined(__x86_64__)
static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

// The first `count` (0..8) lanes.
INLINE __m256i first_lanes(long count) { return _mm256_loadu_si256((const __m256i *)(lanes + 8 - count)); }

// `rows` x (8 * halves) elements; `masked` reads and writes only the lanes of `mask` in the last half.
INLINE void block(const int rows, const int halves, const int masked, long k, const float *a, ptrdiff_t a_row,
                  ptrdiff_t a_column, const float *b, ptrdiff_t b_row, float *c, ptrdiff_t c_row, int accumulate,
                  __m256i mask) {
  __m256 sum[6][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int h = 0; h < halves; h++) {
      const float *at = c + i * c_row + 8 * h;
      if (!accumulate) sum[i][h] = _mm256_setzero_ps();
      else sum[i][h] = masked && h == halves - 1 ? _mm256_maskload_ps(at, mask) : _mm256_loadu_ps(at);
    }
  const float *a3 = a + 3 * a_row;
  for (long p = 0; p < k; p++) {
    __m256 right[2];
#pragma clang loop unroll(full)
    for (int h = 0; h < halves; h++)
      right[h] = masked && h == halves - 1 ? _mm256_maskload_ps(b + 8 * h, mask) : _mm256_loadu_ps(b + 8 * h);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      __m256 left = _mm256_broadcast_ss(i < 3 ? a + i * a_row : a3 + (i - 3) * a_row);
#pragma clang loop unroll(full)
      for (int h = 0; h < halves; h++) sum[i][h] = _mm256_fmadd_ps(left, right[h], sum[i][h]);
    }
    a += a_column;
    a3 += a_column;
    b += b_row;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int h = 0; h < halves; h++) {
      float *at = c + i * c_row + 8 * h;
      if (masked && h == halves - 1) _mm256_maskstore_ps(at, mask, sum[i][h]);
      else _mm256_storeu_ps(at, sum[i][h]);
    }
}

#define ARGUMENTS k, a, a_row, a_column, b, b_row, c, c_row, accumulate, mask
#define BLOCK(rows)                                                                                                \
  AVX2 static void block_##rows(long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,               \
                                const float *b, ptrdiff_t b_row, float *c, ptrdiff_t c_row, int accumulate) {      \
    __m256i mask = first_lanes(n >= 16 ? 8 : n > 8 ? n - 8 : n);                                                   \
    if (n >= 16) block(rows, 2, 0, ARGUMENTS);                                                                     \
    else if (n > 8) block(rows, 2, 1, ARGUMENTS);                                                                  \
    else block(rows, 1, 1, ARGUMENTS);                                                                             \
  }
BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
BLOCK(5)
BLOCK(6)

// One row against four panels of 16: the accumulators of one panel alone would wait for each other.
AVX2 static void row_64(long k, const float *a, ptrdiff_t a_column, const float *b, ptrdiff_t b_row,
                        ptrdiff_t b_panel, float *c, int accumulate) {
  __m256 sum[8];
  for (int h = 0; h < 8; h++) sum[h] = accumulate ? _mm256_loadu_ps(c + 8 * h) : _mm256_setzero_ps();
  for (long p = 0; p < k; p++) {
    __m256 left = _mm256_broadcast_ss(a + p * a_column);
#pragma clang loop unroll(full)
    for (int h = 0; h < 8; h++)
      sum[h] = _mm256_fmadd_ps(left, _mm256_loadu_ps(b + h / 2 * b_panel + p * b_row + h % 2 * 8), sum[h]);
  }
  for (int h = 0; h < 8; h++) _mm256_storeu_ps(c + 8 * h, sum[h]);
}

typedef void (*block_function)(long, long, const float *, ptrdiff_t, ptrdiff_t, const float *, ptrdiff_t, float *,
                               ptrdiff_t, int);
static const block_function blocks[7] = {0, block_1, block_2, block_3, block_4, block_5, block_6};

AVX2 void gw_matmul_f32_avx2(long m, long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,
                             const float *b, ptrdiff_t b_row, ptrdiff_t b_panel, float *c, ptrdiff_t c_row,
                             int accumulate) {
  long first = 0;
  if (m <= 2)
    for (; first + 64 <= n; first += 64)
      for (long i = 0; i < m; i++)
        row_64(k, a + i * a_row, a_column, b + first / 16 * b_panel, b_row, b_panel, c + i * c_row + first,
               accumulate);
  for (long j = first; j < n; j += 16)
    for (long i = 0; i < m; i += 6)
      blocks[m - i < 6 ? m - i : 6](n - j < 16 ? n - j : 16, k, a + i * a_row, a_row, a_column,
                                    b + j / 16 * b_panel, b_row, c + i * c_row + j, c_row, accumulate);
}

// Eight rows of numbers without blocks to every other half of 16 columns. Memory is asked for half a kilobyte ahead.
#define PACK_8(name, type)                                                                                           \
  AVX2 static void name(long k, const uint8_t *src, ptrdiff_t row_bytes, float *dst) {                               \
    for (long p = 0; p + 8 <= k; p += 8) {                                                                           \
      __m256 r[8];                                                                                                   \
      const uint8_t *at = src + p * SCALAR_BYTES(type);                                                              \
      for (int l = 0; l < 8; l++) _mm_prefetch((const char *)at + l * row_bytes + 512, _MM_HINT_T0);                 \
      columns_8(type, at, row_bytes, r);                                                                             \
      for (int l = 0; l < 8; l++) _mm256_storeu_ps(dst + (p + l) * 16, r[l]);                                        \
    }                                                                                                                \
  }
PACK_8(pack_8_f32, GW_F32)
PACK_8(pack_8_f16, GW_F16)
PACK_8(pack_8_bf16, GW_BF16)

AVX2 void gw_pack_rows_avx2(gw_type type, long n, long k, const void *src, ptrdiff_t src_row_bytes, float *dst) {
  long step = gw_block_elements(type) ? gw_block_elements(type) : 64;
  float chunk[8][256];
  for (long j = 0; j < (n + 15) / 16 * 16; j += 8) {
    float *column = dst + j / 16 * 16 * k + j % 16;
    long first = 0;
    if (j + 8 <= n && (type == GW_F32 || type == GW_F16 || type == GW_BF16)) {
      const uint8_t *rows = (const uint8_t *)src + j * src_row_bytes;
      if (type == GW_F32) pack_8_f32(k, rows, src_row_bytes, column);
      else if (type == GW_F16) pack_8_f16(k, rows, src_row_bytes, column);
      else pack_8_bf16(k, rows, src_row_bytes, column);
      first = k / 8 * 8;
    }
    for (long p = first; p < k; p += step) {
      long count = k - p < step ? k - p : step;
      for (int l = 0; l < 8; l++) {
        const uint8_t *row = (const uint8_t *)src + (j + l) * src_row_bytes;
        const uint8_t *at = gw_block_elements(type) ? row + p / step * gw_block_bytes(type)
                                                    : row + p * gw_block_bytes(type);
        if (j + l < n) gw_to_float_avx2(type, count, at, chunk[l]);
        else memset(chunk[l], 0, (size_t)count * 4);
      }
      long q = 0;
      for (; q + 8 <= count; q += 8) {
        __m256 r[8];
        columns_8(GW_F32, (const uint8_t *)(chunk[0] + q), sizeof chunk[0], r);
        for (int l = 0; l < 8; l++) _mm256_storeu_ps(column + (p + q + l) * 16, r[l]);
      }
      for (; q < count; q++)
        for (int l = 0; l < 8; l++) column[(p + q) * 16 + l] = chunk[l][q];
    }
  }
}

AVX2 void gw_pack_columns_avx2(gw_type type, long k, long n, const void *src, ptrdiff_t src_row_bytes, float *dst) {
  if (type != GW_F32) {
    gw_pack_widened(gw_to_float_avx2, type, k, n, src, src_row_bytes, dst);
    return;
  }
  // Four panels at a time along the rows of src: one would take a page a line, and many would be written to the same
  // cache set.
  for (long j = 0; j < n / 16 * 16; j += 64) {
    const long end = n / 16 * 16 < j + 64 ? n / 16 * 16 : j + 64;
    for (long p = 0; p < k; p++) {
      const float *from = (const float *)((const char *)src + p * src_row_bytes);
      _mm_prefetch((const char *)from + 8 * src_row_bytes + 4 * j, _MM_HINT_T0);
      _mm_prefetch((const char *)from + 8 * src_row_bytes + 4 * (j + 32), _MM_HINT_T0);
      for (long i = j; i < end; i += 16) {
        float *to = dst + i * k + p * 16;
        _mm256_storeu_ps(to, _mm256_loadu_ps(from + i));
        _mm256_storeu_ps(to + 8, _mm256_loadu_ps(from + i + 8));
      }
    }
  }
  const long whole = n / 16 * 16;
  if (n > whole)
    gw_pack_widened(gw_to_float_avx2, type, k, n - whole, (const float *)src + whole, src_row_bytes, dst + whole * k);
}
#endif
