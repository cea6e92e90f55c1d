// One activation row against block-quantised weights, 8 rows at a time, straight from memory.
//
// Every weight is used once, so the rate of memory is the floor: nothing is unpacked into a panel. The integer sums of a
// block are exact in any order, and what follows them is the arithmetic of the panels.
#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

// Bytes between what is multiplied and what is asked from memory. The next weights in memory are this thread's next task.
enum { AHEAD = 16384 };

// 16 integers of a row in their natural order.
INLINE __m256i natural_order(const int16_t *q) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7,
                                         8, 9, 12, 13, 10, 11, 14, 15);
  return _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)q), order);
}

// The sums of 8 vectors of 8, in order.
INLINE __m256i sums_of_8(const __m256i r[8]) {
  __m256i t[4], u[2];
  for (int i = 0; i < 4; i++)
    t[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]),
                            _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]));
  for (int i = 0; i < 2; i++)
    u[i] = _mm256_add_epi32(_mm256_unpacklo_epi64(t[2 * i], t[2 * i + 1]),
                            _mm256_unpackhi_epi64(t[2 * i], t[2 * i + 1]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(u[0], u[1], 0x20), _mm256_permute2x128_si256(u[0], u[1], 0x31));
}

INLINE __m128i words_of_4(const uint8_t *at, ptrdiff_t row_bytes) {
  int32_t w[4];
  for (int i = 0; i < 4; i++) memcpy(w + i, at + i * row_bytes, 4);
  return _mm_insert_epi32(_mm_insert_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(w[0]), w[1], 1), w[2], 2), w[3], 3);
}

// Scales, and for Q4_1 offsets, that begin the blocks of 8 rows.
INLINE void heads(const uint8_t *at, ptrdiff_t row_bytes, __m256 *scale, __m256 *offset) {
  __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(words_of_4(at, row_bytes)),
                                         words_of_4(at + 4 * row_bytes, row_bytes), 1);
  __m256i d = _mm256_and_si256(both, _mm256_set1_epi32(0xFFFF)), m = _mm256_srli_epi32(both, 16);
  __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(d, m), 0xD8);
  *scale = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  *offset = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

// 8 rows of a type whose blocks hold 32 numbers.
INLINE __m256 rows_of_8(const gw_type type, long k, const int16_t *x, const uint8_t *w, ptrdiff_t row_bytes,
                        __m256 acc) {
  const float *scales = (const float *)(x + k), *totals = scales + k / 32;
  const long bytes = gw_block_bytes(type);
  const uint8_t *ahead = w + AHEAD;
  for (long g = 0; g < k / 32; g++, w += bytes) {
    for (long b = 0; b < 8 * bytes; b += 64) _mm_prefetch((const char *)ahead + b, _MM_HINT_T0);
    ahead += 8 * bytes;
    __m256i low = natural_order(x + g * 32), high = natural_order(x + g * 32 + 16), dot[8];
    const uint8_t *at = w + (type == GW_Q4_1 ? 4 : 2);
#pragma clang loop unroll(full)
    for (int l = 0; l < 8; l++, at += row_bytes) {
      if (type == GW_Q8_0) {
        __m256i first = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)at));
        __m256i second = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(at + 16)));
        dot[l] = _mm256_add_epi32(_mm256_madd_epi16(first, low), _mm256_madd_epi16(second, high));
      } else {
        __m256i raw = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)at));
        // Or the compiler masks first and widens twice.
        __asm__("" : "+x"(raw));
        __m256i first = _mm256_and_si256(raw, _mm256_set1_epi16(15)), second = _mm256_srli_epi16(raw, 4);
        dot[l] = _mm256_add_epi32(_mm256_madd_epi16(first, low), _mm256_madd_epi16(second, high));
      }
    }
    __m256 scale, offset;
    heads(w, row_bytes, &scale, &offset);
    acc = _mm256_fmadd_ps(_mm256_mul_ps(scale, _mm256_broadcast_ss(scales + g)), _mm256_cvtepi32_ps(sums_of_8(dot)),
                          acc);
    if (type == GW_Q4_0) offset = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(_mm256_set1_ps(8), scale));
    if (type != GW_Q8_0) acc = _mm256_fmadd_ps(offset, _mm256_broadcast_ss(totals + g), acc);
  }
  return acc;
}

#define ROWS_OF_8(type)                                                                                            \
  AVX2 static void rows_##type(long n, long k, const int16_t *x, const uint8_t *w, ptrdiff_t row_bytes, float *c,  \
                               int accumulate) {                                                                   \
    for (long j = 0; j < n; j += 8)                                                                                \
      _mm256_storeu_ps(c + j, rows_of_8(GW_##type, k, x, w + j * row_bytes, row_bytes,                             \
                                        accumulate ? _mm256_loadu_ps(c + j) : _mm256_setzero_ps()));               \
  }
ROWS_OF_8(Q4_0)
ROWS_OF_8(Q4_1)
ROWS_OF_8(Q8_0)

AVX2 long gw_dot_q16_avx2(gw_type type, long n, long k, const void *x, const void *w, ptrdiff_t w_row_bytes, float *c,
                          int accumulate) {
  long whole = n / 8 * 8;
  switch (type) {
    case GW_Q4_0: rows_Q4_0(whole, k, x, w, w_row_bytes, c, accumulate); return whole;
    case GW_Q4_1: rows_Q4_1(whole, k, x, w, w_row_bytes, c, accumulate); return whole;
    case GW_Q8_0: rows_Q8_0(whole, k, x, w, w_row_bytes, c, accumulate); return whole;
    default: return 0;
  }
}
#endif
