// Products of int8 activations with block-quantised weights.
//
// 16 rows of weights are unpacked into a panel of bytes, [k / 4][16 rows][4], so that one vpmaddubsw multiplies four
// numbers of each of 8 rows with four numbers of an activation. Sums within a group of 32 are exact integers.
#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

// Groups unpacked at a time.
enum { GROUPS = 64 };

// 16 rows x 32 numbers, and their scales: for Q6_K one for each half.
typedef struct {
  uint8_t q[8][2][32];
  float scale[2][16];
  float offset[2][16];
} panel;

// What the bytes of a panel are.
typedef enum { UNSIGNED, SIGNED, SIGNED_HALVES } kind;

static kind kind_of(gw_type type) {
  switch (type) {
    case GW_Q4_0: case GW_Q4_1: case GW_Q4_K: case GW_Q5_0: case GW_Q5_1: case GW_Q5_K: return UNSIGNED;
    case GW_Q6_K: return SIGNED_HALVES;
    default: return SIGNED;
  }
}

// Any format, a number at a time.
static void unpack_plain(gw_type type, const uint8_t *w, ptrdiff_t row_bytes, long rows, long group, panel *p) {
  gw_block block;
  for (int l = 0; l < 16; l++) {
    if (l < rows) gw_unpack_block(type, w + l * row_bytes, group, &block);
    else memset(&block, 0, sizeof block);
    for (int i = 0; i < 32; i++) p->q[i / 4][l / 8][l % 8 * 4 + i % 4] = (uint8_t)block.q[i];
    for (int h = 0; h < 2; h++) {
      p->scale[h][l] = block.scale[h];
      p->offset[h][l] = block.offset[h] - (float)block.zero * block.scale[h];
    }
  }
}

// Four dwords of each of 8 rows: result g holds dword g of all rows in order.
INLINE void transpose_dwords(const __m128i r[8], __m256i out[4]) {
  __m256i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(r[i]), r[i + 4], 1);
  __m256i a = _mm256_unpacklo_epi32(x[0], x[1]), b = _mm256_unpackhi_epi32(x[0], x[1]);
  __m256i c = _mm256_unpacklo_epi32(x[2], x[3]), d = _mm256_unpackhi_epi32(x[2], x[3]);
  out[0] = _mm256_unpacklo_epi64(a, c);
  out[1] = _mm256_unpackhi_epi64(a, c);
  out[2] = _mm256_unpacklo_epi64(b, d);
  out[3] = _mm256_unpackhi_epi64(b, d);
}

// Eight rows of Q4_0 or Q4_1.
INLINE void unpack_q4(const int has_offset, const uint8_t *w, ptrdiff_t row_bytes, long group, int side, panel *p) {
  const int bytes = has_offset ? 20 : 18;
  const uint8_t *at = w + group * bytes;
  __m128i raw[8];
  for (int l = 0; l < 8; l++)
    raw[l] = _mm_loadu_si128((const __m128i *)(at + l * row_bytes + (has_offset ? 4 : 2)));
  __m256i packed[4], low = _mm256_set1_epi8(15);
  transpose_dwords(raw, packed);
  for (int g = 0; g < 4; g++) {
    _mm256_store_si256((__m256i *)p->q[g][side], _mm256_and_si256(packed[g], low));
    _mm256_store_si256((__m256i *)p->q[g + 4][side], _mm256_and_si256(_mm256_srli_epi16(packed[g], 4), low));
  }
  uint32_t heads[8];
  for (int l = 0; l < 8; l++) {
    if (has_offset) {
      memcpy(heads + l, at + l * row_bytes, 4);
    } else {
      uint16_t h;
      memcpy(&h, at + l * row_bytes, 2);
      heads[l] = h;
    }
  }
  __m256i both = _mm256_loadu_si256((const __m256i *)heads);
  __m256i mask = _mm256_set1_epi32(0xFFFF);
  __m256i d = _mm256_and_si256(both, mask), m = _mm256_srli_epi32(both, 16);
  __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(d, m), 0xD8);
  __m256 scale = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  _mm256_store_ps(p->scale[0] + side * 8, scale);
  // fnmadd(8, scale, 0) is exact: a product with a power of two.
  __m256 offset = has_offset ? _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))
                             : _mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(_mm256_set1_ps(8), scale));
  _mm256_store_ps(p->offset[0] + side * 8, offset);
}

INLINE void unpack_q8(const uint8_t *w, ptrdiff_t row_bytes, long group, int side, panel *p) {
  const uint8_t *at = w + group * 34;
  for (int half = 0; half < 2; half++) {
    __m128i raw[8];
    for (int l = 0; l < 8; l++) raw[l] = _mm_loadu_si128((const __m128i *)(at + l * row_bytes + 2 + half * 16));
    __m256i out[4];
    transpose_dwords(raw, out);
    for (int g = 0; g < 4; g++) _mm256_store_si256((__m256i *)p->q[half * 4 + g][side], out[g]);
  }
  uint16_t heads[8];
  for (int l = 0; l < 8; l++) memcpy(heads + l, at + l * row_bytes, 2);
  _mm256_store_ps(p->scale[0] + side * 8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)heads)));
}

// Bit i of `bits` as 16 in byte i, or 0.
INLINE __m256i fifth_bits(uint32_t bits) {
  const __m256i from = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
  __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), from), bit);
  return _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit), _mm256_set1_epi8(16));
}

INLINE __m256i low_nibbles(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }

// 32 numbers of Q5_0 or Q5_1 at block b.
INLINE __m256i numbers_q5(const int has_offset, const uint8_t *b, float scale[2], float *offset) {
  __m128i raw = _mm_loadu_si128((const __m128i *)(b + (has_offset ? 8 : 6)));
  uint32_t high;
  memcpy(&high, b + (has_offset ? 4 : 2), 4);
  scale[0] = gw_half(b);
  *offset = has_offset ? gw_half(b + 2) : 0 - 16 * scale[0];
  __m256i pair = _mm256_inserti128_si256(_mm256_castsi128_si256(raw), _mm_srli_epi16(raw, 4), 1);
  return _mm256_or_si256(low_nibbles(pair), fifth_bits(high));
}

// Group `group` of 8 of a block b of Q4_K or Q5_K.
INLINE __m256i numbers_k45(const int high_bits, const uint8_t *b, int group, float scale[2], float *offset) {
  const uint8_t *s = b + 4 + group;
  int factor = group < 4 ? s[0] & 63 : (s[4] & 15) | (s[-4] >> 6) << 4;
  int minimum = group < 4 ? s[4] & 63 : s[4] >> 4 | (s[0] >> 6) << 4;
  scale[0] = gw_half(b) * (float)factor;
  *offset = -(gw_half(b + 2) * (float)minimum);
  __m256i raw = _mm256_loadu_si256((const __m256i *)(b + (high_bits ? 48 : 16) + group / 2 * 32));
  __m256i q = low_nibbles(_mm256_srl_epi16(raw, _mm_cvtsi32_si128(group % 2 * 4)));
  if (!high_bits) return q;
  __m256i high = _mm256_srl_epi16(_mm256_loadu_si256((const __m256i *)(b + 16)), _mm_cvtsi32_si128(group));
  return _mm256_or_si256(q, _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(1)), 4));
}

// Group `group` of 8 of a block b of Q6_K.
INLINE __m256i numbers_k6(const uint8_t *b, int group, float scale[2]) {
  int half = group / 4, quarter = group % 4;
  float d = gw_half(b + 208);
  for (int h = 0; h < 2; h++) scale[h] = d * (float)(int8_t)b[192 + half * 8 + quarter * 2 + h];
  __m256i raw = _mm256_loadu_si256((const __m256i *)(b + half * 64 + quarter % 2 * 32));
  __m256i top = _mm256_loadu_si256((const __m256i *)(b + 128 + half * 32));
  __m256i low = low_nibbles(_mm256_srl_epi16(raw, _mm_cvtsi32_si128(quarter / 2 * 4)));
  top = _mm256_and_si256(_mm256_srl_epi16(top, _mm_cvtsi32_si128(quarter * 2)), _mm256_set1_epi8(3));
  return _mm256_sub_epi8(_mm256_or_si256(low, _mm256_slli_epi16(top, 4)), _mm256_set1_epi8(32));
}

// Eight rows of a format whose numbers are put together a row at a time.
INLINE void unpack_rows(const gw_type type, const uint8_t *w, ptrdiff_t row_bytes, long group, int side, panel *p) {
  const long elements = gw_block_elements(type);
  const int within = (int)(group % (elements / 32));
  const uint8_t *at = w + group / (elements / 32) * gw_block_bytes(type);
  __m128i raw[2][8];
  for (int l = 0; l < 8; l++, at += row_bytes) {
    float scale[2], offset = 0;
    __m256i q = type == GW_Q5_0   ? numbers_q5(0, at, scale, &offset)
                : type == GW_Q5_1 ? numbers_q5(1, at, scale, &offset)
                : type == GW_Q4_K ? numbers_k45(0, at, within, scale, &offset)
                : type == GW_Q5_K ? numbers_k45(1, at, within, scale, &offset)
                                  : numbers_k6(at, within, scale);
    raw[0][l] = _mm256_castsi256_si128(q);
    raw[1][l] = _mm256_extracti128_si256(q, 1);
    p->scale[0][side * 8 + l] = scale[0];
    if (type == GW_Q6_K) p->scale[1][side * 8 + l] = scale[1];
    p->offset[0][side * 8 + l] = offset;
  }
  for (int half = 0; half < 2; half++) {
    __m256i out[4];
    transpose_dwords(raw[half], out);
    for (int g = 0; g < 4; g++) _mm256_store_si256((__m256i *)p->q[half * 4 + g][side], out[g]);
  }
}

AVX2 static void unpack(gw_type type, const uint8_t *w, ptrdiff_t row_bytes, long rows, long group, panel *p) {
  if (rows < 16) {
    unpack_plain(type, w, row_bytes, rows, group, p);
    return;
  }
  for (int side = 0; side < 2; side++) {
    const uint8_t *at = w + side * 8 * row_bytes;
    switch (type) {
      case GW_Q4_0: unpack_q4(0, at, row_bytes, group, side, p); break;
      case GW_Q4_1: unpack_q4(1, at, row_bytes, group, side, p); break;
      case GW_Q5_0: unpack_rows(GW_Q5_0, at, row_bytes, group, side, p); break;
      case GW_Q5_1: unpack_rows(GW_Q5_1, at, row_bytes, group, side, p); break;
      case GW_Q4_K: unpack_rows(GW_Q4_K, at, row_bytes, group, side, p); break;
      case GW_Q5_K: unpack_rows(GW_Q5_K, at, row_bytes, group, side, p); break;
      case GW_Q6_K: unpack_rows(GW_Q6_K, at, row_bytes, group, side, p); break;
      default: unpack_q8(at, row_bytes, group, side, p);
    }
  }
}

INLINE __m256i broadcast_4(const int8_t *q) {
  int32_t word;
  memcpy(&word, q, 4);
  return _mm256_set1_epi32(word);
}

// Integer dots of 16 numbers (groups of four from `from` on) for `rows` activations with 16 weight rows.
INLINE void dots(const kind kind, const int rows, const panel *p, const int8_t *const *x, long at, int from,
                 __m256i total[3][2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum[3][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = total[i][0] = total[i][1] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
  for (int g = from; g < from + 4; g++) {
    __m256i w[2] = {_mm256_load_si256((const __m256i *)p->q[g][0]), _mm256_load_si256((const __m256i *)p->q[g][1])};
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      __m256i a = broadcast_4(x[i] + at + g * 4);
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        if (kind == UNSIGNED) {
          // Up to 5 bits: 4 sums of two products of at most 31 * 127 fit 16 bits.
          sum[i][h] = _mm256_add_epi16(sum[i][h], _mm256_maddubs_epi16(w[h], a));
        } else {
          // |w| is at most 128 as an unsigned byte, and two products with |a| <= 127 fit 16 bits.
          __m256i product = _mm256_maddubs_epi16(_mm256_abs_epi8(w[h]), _mm256_sign_epi8(a, w[h]));
          total[i][h] = _mm256_add_epi32(total[i][h], _mm256_madd_epi16(product, ones));
        }
      }
    }
  }
  if (kind == UNSIGNED) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) total[i][h] = _mm256_madd_epi16(sum[i][h], ones);
  }
}

// `rows` activations times a panel of 16 weight rows over `groups` groups, added to c.
INLINE void tile(const kind kind, const int rows, const panel *p, long groups, long first, long k,
                 const int8_t *const *x, float *const *c) {
  __m256 acc[3][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int h = 0; h < 2; h++) acc[i][h] = _mm256_loadu_ps(c[i] + 8 * h);
  for (long g = 0; g < groups; g++, p++) {
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      __m256i dot[3][2];
      dots(kind, rows, p, x, g * 32, half * 4, dot);
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        const float *scales = (const float *)(x[i] + k) - first * 6;
        __m256 xs = _mm256_broadcast_ss(scales + 2 * g + half);
#pragma clang loop unroll(full)
        for (int h = 0; h < 2; h++)
          acc[i][h] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->scale[kind == SIGNED_HALVES ? half : 0] + 8 * h), xs),
                                      _mm256_cvtepi32_ps(dot[i][h]), acc[i][h]);
        if (kind == UNSIGNED && half == 1) {
          __m256 total = _mm256_broadcast_ss(scales + k / 16 - first + g);
#pragma clang loop unroll(full)
          for (int h = 0; h < 2; h++)
            acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(p->offset[0] + 8 * h), total, acc[i][h]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(c[i] + 8 * h, acc[i][h]);
}

#define TILE(rows)                                                                                                 \
  AVX2 static void tile_##rows(kind which, const panel *p, long groups, long first, long k,                        \
                               const int8_t *const *x, float *const *c) {                                          \
    switch (which) {                                                                                               \
      case UNSIGNED: tile(UNSIGNED, rows, p, groups, first, k, x, c); break;                                       \
      case SIGNED: tile(SIGNED, rows, p, groups, first, k, x, c); break;                                           \
      case SIGNED_HALVES: tile(SIGNED_HALVES, rows, p, groups, first, k, x, c); break;                             \
    }                                                                                                              \
  }
TILE(1)
TILE(2)
TILE(3)

AVX2 void gw_matmul_q8_avx2(gw_type type, long m, long n, long k, const void *x, ptrdiff_t x_row_bytes,
                            const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate,
                            void *workspace) {
  panel *panels = workspace;
  kind which = kind_of(type);
  for (long j = 0; j < n; j += 16) {
    long columns = n - j < 16 ? n - j : 16;
    const uint8_t *rows = (const uint8_t *)w + j * w_row_bytes;
    for (long i = 0; i < m && !accumulate; i++) memset(c + i * c_row + j, 0, (size_t)columns * 4);
    for (long first = 0; first < k / 32; first += GROUPS) {
      long groups = k / 32 - first < GROUPS ? k / 32 - first : GROUPS;
      for (long g = 0; g < groups; g++) {
        // Sixteen rows are read side by side, which hardware does not foresee: ask for the next sixteen meanwhile.
        const uint8_t *ahead = rows + 16 * w_row_bytes + (first + g) * 32 * w_row_bytes / k * 16;
        for (long b = 0; b < 16 * 32 * w_row_bytes / k; b += 64) _mm_prefetch((const char *)ahead + b, _MM_HINT_T0);
        unpack(type, rows, w_row_bytes, columns, first + g, panels + g);
      }
      for (long i = 0; i < m; i += 3) {
        int count = m - i < 3 ? (int)(m - i) : 3;
        const int8_t *xs[3];
        float *cs[3], edge[3][16];
        for (int r = 0; r < count; r++) {
          xs[r] = (const int8_t *)x + (i + r) * x_row_bytes + first * 32;
          cs[r] = columns == 16 ? c + (i + r) * c_row + j : edge[r];
          if (columns < 16) {
            memset(edge[r], 0, sizeof edge[r]);
            memcpy(edge[r], c + (i + r) * c_row + j, (size_t)columns * 4);
          }
        }
        // The planes of scales lie k bytes behind the row's start, and x points first * 32 bytes into it.
        if (count == 3) tile_3(which, panels, groups, first, k, xs, cs);
        else if (count == 2) tile_2(which, panels, groups, first, k, xs, cs);
        else tile_1(which, panels, groups, first, k, xs, cs);
        for (int r = 0; r < count && columns < 16; r++)
          memcpy(c + (i + r) * c_row + j, edge[r], (size_t)columns * 4);
      }
    }
  }
}

// The nearest whole quotients; a subnormal divisor may have been rounded down so far that they pass 127.
INLINE __m256i quantized(__m256 v, __m256 divisor) {
  __m256 r = _mm256_max_ps(_mm256_div_ps(v, divisor), _mm256_set1_ps(-127));
  return _mm256_cvtps_epi32(_mm256_min_ps(r, _mm256_set1_ps(127)));
}

AVX2 void gw_quantize_rows_avx2(long m, long k, const float *x, ptrdiff_t x_row, void *dst,
                                ptrdiff_t dst_row_bytes) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  for (long i = 0; i < m; i++) {
    int8_t *q = (int8_t *)dst + i * dst_row_bytes;
    float *scales = (float *)(q + k), *sums = scales + k / 16;
    for (long g = 0; g < k / 16; g++) {
      const float *v = x + i * x_row + g * 16;
      __m256 a = _mm256_loadu_ps(v), b = _mm256_loadu_ps(v + 8);
      // As integers, so that a NaN counts as the largest and reaches every product of the group.
      __m256i top = _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(a), magnitude),
                                     _mm256_and_si256(_mm256_castps_si256(b), magnitude));
      __m128i t = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
      t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4E));
      t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0xB1));
      float scale = _mm_cvtss_f32(_mm_castsi128_ps(t)) / 127;
      __m256 divisor = _mm256_set1_ps(scale);
      __m256i n = _mm256_setzero_si256(), o = n;
      if (scale != 0) {
        n = quantized(a, divisor);
        o = quantized(b, divisor);
      }
      __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(n, o), 0xD8);
      _mm_storeu_si128((__m128i *)(q + g * 16),
                       _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
      __m256i total = _mm256_add_epi32(n, o);
      __m128i s = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
      float sum = (float)_mm_cvtsi128_si32(s);
      scales[g] = scale;
      sums[g / 2] = g % 2 ? fmaf(scale, sum, sums[g / 2]) : scale * sum;
    }
  }
}
#endif
