// Products of 16-bit activations with block-quantised weights.
//
// 16 rows of weights are unpacked into a panel of 16-bit pairs, so that one vpmaddwd multiplies two numbers of each of 8
// rows with two numbers of an activation. Of four numbers in order the pairs are the first and third, and the second
// and fourth: bytes and nibbles spread to pairs that way with a shift and a mask. Sums within a group of 32 are exact.
#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

// Groups unpacked at a time: their panels stay in the first-level cache.
enum { GROUPS = 20 };

// 16 rows x 32 numbers as pairs, and their scales: for Q6_K one for each half.
typedef struct {
  int16_t q[16][2][16];
  float scale[2][16];
  float offset[16];
} panel;

static int has_offset_of(gw_type type) { return type != GW_Q8_0 && type != GW_Q6_K; }

// Any format, a number at a time.
static void unpack_plain(gw_type type, const uint8_t *w, ptrdiff_t row_bytes, long rows, long group, panel *p) {
  gw_block block;
  for (int l = 0; l < 16; l++) {
    if (l < rows) gw_unpack_block(type, w + l * row_bytes, group, &block);
    else memset(&block, 0, sizeof block);
    for (int i = 0; i < 32; i++) p->q[i / 4 * 2 + i % 2][l / 8][l % 8 * 2 + i % 4 / 2] = block.q[i];
    for (int h = 0; h < 2; h++) p->scale[h][l] = block.scale[h];
    p->offset[l] = block.offset[0] - (float)block.zero * block.scale[0];
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
  __m256i packed[4], low = _mm256_set1_epi16(15);
  transpose_dwords(raw, packed);
  for (int g = 0; g < 4; g++) {
    _mm256_store_si256((__m256i *)p->q[2 * g][side], _mm256_and_si256(packed[g], low));
    _mm256_store_si256((__m256i *)p->q[2 * g + 1][side], _mm256_and_si256(_mm256_srli_epi16(packed[g], 8), low));
    _mm256_store_si256((__m256i *)p->q[2 * g + 8][side], _mm256_and_si256(_mm256_srli_epi16(packed[g], 4), low));
    _mm256_store_si256((__m256i *)p->q[2 * g + 9][side], _mm256_srli_epi16(packed[g], 12));
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
  _mm256_store_ps(p->offset + side * 8, offset);
}

// The signed bytes of 16 numbers (half 0 or 1 of a group) of 8 rows as pairs.
INLINE void store_bytes(const __m128i raw[8], int half, int side, panel *p) {
  __m256i out[4];
  transpose_dwords(raw, out);
  for (int g = 0; g < 4; g++) {
    int pair = half * 8 + g * 2;
    _mm256_store_si256((__m256i *)p->q[pair][side], _mm256_srai_epi16(_mm256_slli_epi16(out[g], 8), 8));
    _mm256_store_si256((__m256i *)p->q[pair + 1][side], _mm256_srai_epi16(out[g], 8));
  }
}

INLINE void unpack_q8(const uint8_t *w, ptrdiff_t row_bytes, long group, int side, panel *p) {
  const uint8_t *at = w + group * 34;
  for (int half = 0; half < 2; half++) {
    __m128i raw[8];
    for (int l = 0; l < 8; l++) raw[l] = _mm_loadu_si128((const __m128i *)(at + l * row_bytes + 2 + half * 16));
    store_bytes(raw, half, side, p);
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
    p->offset[side * 8 + l] = offset;
  }
  for (int half = 0; half < 2; half++) store_bytes(raw[half], half, side, p);
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

INLINE __m256i broadcast_2(const int16_t *q) {
  int32_t word;
  memcpy(&word, q, 4);
  return _mm256_set1_epi32(word);
}

// Rows of activations that one pass over a panel multiplies.
enum { ROWS = 6 };

// `rows` activations times a panel of 16 weight rows over `groups` groups from `first` on, added to c. `parts` is how
// many scales a group has. The integer sums take the registers, so the results wait in c.
INLINE void tile(const int parts, const int has_offset, const int rows, const panel *p, long groups, long first,
                 long k, const int16_t *x, ptrdiff_t x_row, float *c, ptrdiff_t c_row) {
  const float *scales = (const float *)(x + k) + first;
  const int16_t *at = x + first * 32, *at3 = at + 3 * x_row;
  for (long g = 0; g < groups; g++, p++, scales++)
    for (int part = 0; part < parts; part++) {
      __m256i sum[ROWS][2];
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
      const int16_t *w = p->q[part * 8][0], *end = w + 512 / parts;
#pragma clang loop unroll(disable)
      for (; w < end; w += 32, at += 2, at3 += 2) {
        __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)(w + 16));
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
          __m256i a = broadcast_2(i < 3 ? at + i * x_row : at3 + (i - 3) * x_row);
          sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(w0, a));
          sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(w1, a));
        }
      }
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        const float *scale = scales + i * (x_row / 2);
        __m256 xs = _mm256_broadcast_ss(scale), total = _mm256_broadcast_ss(scale + k / 32);
#pragma clang loop unroll(full)
        for (int h = 0; h < 2; h++) {
          float *to = c + i * c_row + 8 * h;
          __m256 acc = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->scale[part] + 8 * h), xs),
                                       _mm256_cvtepi32_ps(sum[i][h]), _mm256_loadu_ps(to));
          if (has_offset) acc = _mm256_fmadd_ps(_mm256_load_ps(p->offset + 8 * h), total, acc);
          _mm256_storeu_ps(to, acc);
        }
      }
    }
}

#define TILE(rows)                                                                                                 \
  AVX2 static void tile_##rows(gw_type type, const panel *p, long groups, long first, long k, const int16_t *x,    \
                               ptrdiff_t x_row, float *c, ptrdiff_t c_row) {                                       \
    if (type == GW_Q6_K) tile(2, 0, rows, p, groups, first, k, x, x_row, c, c_row);                                \
    else if (type == GW_Q8_0) tile(1, 0, rows, p, groups, first, k, x, x_row, c, c_row);                           \
    else tile(1, 1, rows, p, groups, first, k, x, x_row, c, c_row);                                                \
  }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void (*tile_function)(gw_type, const panel *, long, long, long, const int16_t *, ptrdiff_t, float *,
                              ptrdiff_t);
static const tile_function tiles[ROWS + 1] = {0, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

AVX2 void gw_matmul_q16_avx2(gw_type type, long m, long n, long k, const void *x, ptrdiff_t x_row_bytes,
                            const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate,
                            void *workspace) {
  panel *panels = workspace;
  if (m == 1) {
    long done = gw_dot_q16_avx2(type, n, k, x, w, w_row_bytes, c, accumulate);
    n -= done;
    c += done;
    w = (const uint8_t *)w + done * w_row_bytes;
  }
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
      for (long i = 0; i < m; i += ROWS) {
        long count = m - i < ROWS ? m - i : ROWS;
        float *at = c + i * c_row + j, edge[ROWS][16];
        if (columns < 16) {
          memset(edge, 0, sizeof edge);
          for (long r = 0; r < count; r++) memcpy(edge[r], at + r * c_row, (size_t)columns * 4);
        }
        tiles[count](type, panels, groups, first, k, (const int16_t *)((const char *)x + i * x_row_bytes),
                     x_row_bytes / 2, columns < 16 ? edge[0] : at, columns < 16 ? 16 : c_row);
        for (long r = 0; r < count && columns < 16; r++) memcpy(at + r * c_row, edge[r], (size_t)columns * 4);
      }
    }
  }
}

// Nearest whole numbers, within 32,767 in magnitude even where a product was rounded up.
INLINE __m256i quantized(__m256 v, __m256 inverse) {
  const __m256 most = _mm256_set1_ps(32767);
  __m256 r = _mm256_max_ps(_mm256_mul_ps(v, inverse), _mm256_sub_ps(_mm256_setzero_ps(), most));
  return _mm256_cvtps_epi32(_mm256_min_ps(r, most));
}

// 16 numbers as 16-bit pairs: of each four the first and third, then the second and fourth.
INLINE __m256i pairs(__m256i a, __m256i b) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7,
                                         8, 9, 12, 13, 10, 11, 14, 15);
  return _mm256_shuffle_epi8(_mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8), order);
}

AVX2 void gw_quantize_rows_avx2(long m, long k, const float *x, ptrdiff_t x_row, void *dst,
                                ptrdiff_t dst_row_bytes) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  for (long i = 0; i < m; i++) {
    int16_t *q = (int16_t *)((char *)dst + i * dst_row_bytes);
    float *scales = (float *)(q + k), *sums = scales + k / 32;
    for (long g = 0; g < k / 32; g++) {
      __m256 v[4];
      __m256i top = _mm256_setzero_si256(), n[4], total = top;
      for (int j = 0; j < 4; j++) {
        v[j] = _mm256_loadu_ps(x + i * x_row + g * 32 + j * 8);
        // As integers, so that a NaN counts as the largest and reaches every product of the group.
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[j]), magnitude));
      }
      __m128i t = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
      t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4E));
      t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0xB1));
      float largest = _mm_cvtss_f32(_mm_castsi128_ps(t));
      int is_zero = largest < 0x1p-100f;
      __m256 inverse = _mm256_set1_ps(is_zero ? 0 : 32767 / largest);
      for (int j = 0; j < 4; j++) {
        n[j] = quantized(v[j], inverse);
        total = _mm256_add_epi32(total, n[j]);
      }
      _mm256_storeu_si256((__m256i *)(q + g * 32), pairs(n[0], n[1]));
      _mm256_storeu_si256((__m256i *)(q + g * 32 + 16), pairs(n[2], n[3]));
      __m128i s = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
      s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
      scales[g] = is_zero ? 0 : largest / 32767;
      sums[g] = scales[g] * (float)_mm_cvtsi128_si32(s);
    }
  }
}
#endif
