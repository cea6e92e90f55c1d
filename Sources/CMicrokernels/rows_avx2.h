// Rows of contiguous numbers, eight by eight.
#ifndef GODWIT_ROWS_AVX2_H
#define GODWIT_ROWS_AVX2_H

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

#define SCALAR_BYTES(type) ((type) == GW_F32 ? 4 : 2)

// Four columns of eight rows of float32, a column a vector. Rows four apart lie beside each other from the start, so that no step crosses
// the halves of a vector.
INLINE void columns_4(const uint8_t *at, ptrdiff_t row_bytes, __m256 r[4]) {
  __m256 x[4], t[4];
  for (int l = 0; l < 4; l++)
    x[l] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)(at + l * row_bytes))),
                                _mm_loadu_ps((const float *)(at + (l + 4) * row_bytes)), 1);
  for (int i = 0; i < 2; i++) {
    t[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    __m256d low = _mm256_castps_pd(t[i]), high = _mm256_castps_pd(t[i + 2]);
    r[2 * i] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
    r[2 * i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
  }
}

// Eight columns of eight rows of 16-bit numbers: vector i has columns 2i and 2i + 1, four rows of each and beside them four more.
INLINE void columns_of_halves(const uint8_t *at, ptrdiff_t row_bytes, __m256i r[4]) {
  __m256i x[4], t[4];
  for (int l = 0; l < 4; l++)
    x[l] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(at + l * row_bytes))),
                                   _mm_loadu_si128((const __m128i *)(at + (l + 4) * row_bytes)), 1);
  for (int i = 0; i < 2; i++) {
    t[2 * i] = _mm256_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    r[2 * i] = _mm256_unpacklo_epi32(t[i], t[i + 2]);
    r[2 * i + 1] = _mm256_unpackhi_epi32(t[i], t[i + 2]);
  }
}

// Eight columns of eight rows of F32, F16 or BF16 as float32, a column a vector.
INLINE void columns_8(const gw_type type, const uint8_t *at, ptrdiff_t row_bytes, __m256 r[8]) {
  if (type == GW_F32) {
    columns_4(at, row_bytes, r);
    columns_4(at + 16, row_bytes, r + 4);
    return;
  }
  __m256i pairs[4];
  columns_of_halves(at, row_bytes, pairs);
  for (int i = 0; i < 4; i++) {
    if (type == GW_BF16) {
      // The upper half of a float32.
      r[2 * i] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(_mm256_setzero_si256(), pairs[i]));
      r[2 * i + 1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(_mm256_setzero_si256(), pairs[i]));
    } else {
      __m256i whole = _mm256_permute4x64_epi64(pairs[i], 0xD8);
      r[2 * i] = _mm256_cvtph_ps(_mm256_castsi256_si128(whole));
      r[2 * i + 1] = _mm256_cvtph_ps(_mm256_extracti128_si256(whole, 1));
    }
  }
}
#endif
#endif
