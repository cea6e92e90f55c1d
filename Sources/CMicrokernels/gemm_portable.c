// Plain forms of the products: slow, and the same bits as the SIMD forms.
#include "internal.h"

void gw_matmul_f32_portable(long m, long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,
                            const float *b, ptrdiff_t b_row, ptrdiff_t b_panel, float *c, ptrdiff_t c_row,
                            int accumulate) {
  for (long i = 0; i < m; i++)
    for (long j = 0; j < n; j++) {
      const float *bj = b + j / 16 * b_panel + j % 16;
      float sum = accumulate ? c[i * c_row + j] : 0;
      for (long p = 0; p < k; p++) sum = fmaf(a[i * a_row + p * a_column], bj[p * b_row], sum);
      c[i * c_row + j] = sum;
    }
}

void gw_matmul_rows_portable(gw_type type, long m, long n, long k, const float *a, ptrdiff_t a_row,
                             ptrdiff_t a_column, const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row,
                             int accumulate) {
  float chunk[256];
  for (long j = 0; j < n; j++)
    for (long i = 0; i < m; i++) {
      const uint8_t *row = (const uint8_t *)w + j * w_row_bytes;
      float sum = accumulate ? c[i * c_row + j] : 0;
      for (long p = 0; p < k; p += 256) {
        long count = k - p < 256 ? k - p : 256;
        gw_to_float_portable(type, count, row + p * gw_block_bytes(type), chunk);
        for (long q = 0; q < count; q++) sum = fmaf(a[i * a_row + (p + q) * a_column], chunk[q], sum);
      }
      c[i * c_row + j] = sum;
    }
}

void gw_pack_columns_portable(gw_type type, long k, long n, const void *src, ptrdiff_t src_row_bytes, float *dst) {
  gw_pack_widened(gw_to_float_portable, type, k, n, src, src_row_bytes, dst);
}

void gw_pack_rows_portable(gw_type type, long n, long k, const void *src, ptrdiff_t src_row_bytes, float *dst) {
  float chunk[256];
  long step = gw_block_elements(type) ? gw_block_elements(type) : 256;
  for (long j = 0; j < (n + 15) / 16 * 16; j++) {
    float *column = dst + j / 16 * 16 * k + j % 16;
    const uint8_t *row = (const uint8_t *)src + j * src_row_bytes;
    for (long p = 0; p < k; p += step) {
      long count = k - p < step ? k - p : step;
      if (j < n) {
        const uint8_t *at = gw_block_elements(type) ? row + p / step * gw_block_bytes(type)
                                                    : row + p * gw_block_bytes(type);
        gw_to_float_portable(type, count, at, chunk);
      } else {
        memset(chunk, 0, sizeof chunk);
      }
      for (long q = 0; q < count; q++) column[(p + q) * 16] = chunk[q];
    }
  }
}

void gw_quantize_rows_portable(long m, long k, const float *x, ptrdiff_t x_row, void *dst,
                               ptrdiff_t dst_row_bytes) {
  for (long i = 0; i < m; i++) {
    int16_t *q = (int16_t *)((char *)dst + i * dst_row_bytes);
    float *scales = (float *)(q + k), *sums = scales + k / 32;
    for (long g = 0; g < k / 32; g++) {
      const float *v = x + i * x_row + g * 32;
      // As integers, so that a NaN counts as the largest and reaches every product of the group.
      uint32_t top = 0;
      for (int j = 0; j < 32; j++) {
        uint32_t bits;
        memcpy(&bits, v + j, 4);
        bits &= 0x7FFFFFFF;
        top = bits > top ? bits : top;
      }
      float largest;
      memcpy(&largest, &top, 4);
      int is_zero = largest < 0x1p-100f, sum = 0;
      float inverse = is_zero ? 0 : 32767 / largest;
      for (int j = 0; j < 32; j++) {
        // A product may have been rounded past the largest, and a NaN must not be converted.
        float r = v[j] * inverse;
        int n = (int)nearbyintf(r > -32767 ? (r < 32767 ? r : 32767) : -32767);
        q[g * 32 + gw_pair_order(j)] = (int16_t)n;
        sum += n;
      }
      scales[g] = is_zero ? 0 : largest / 32767;
      sums[g] = scales[g] * (float)sum;
    }
  }
}

void gw_matmul_q16_portable(gw_type type, long m, long n, long k, const void *x, ptrdiff_t x_row_bytes,
                           const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate,
                           void *workspace) {
  (void)workspace;
  int halves = type == GW_Q6_K ? 2 : 1;
  for (long j = 0; j < n; j++) {
    const uint8_t *row = (const uint8_t *)w + j * w_row_bytes;
    for (long i = 0; i < m && !accumulate; i++) c[i * c_row + j] = 0;
    for (long g = 0; g < k / 32; g++) {
      gw_block block;
      gw_unpack_block(type, row, g, &block);
      for (long i = 0; i < m; i++) {
        const int16_t *q = (const int16_t *)((const char *)x + i * x_row_bytes);
        const float *scales = (const float *)(q + k), *sums = scales + k / 32;
        float acc = c[i * c_row + j];
        for (int h = 0; h < halves; h++) {
          int dot = 0;
          for (int e = h * 32 / halves; e < (h + 1) * 32 / halves; e++)
            dot += block.q[e] * q[g * 32 + gw_pair_order(e)];
          acc = fmaf(block.scale[h] * scales[g], (float)dot, acc);
        }
        float offset = block.offset[0] - (float)block.zero * block.scale[0];
        if (type != GW_Q8_0 && type != GW_Q6_K) acc = fmaf(offset, sums[g], acc);
        c[i * c_row + j] = acc;
      }
    }
  }
}
