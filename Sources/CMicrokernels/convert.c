// Conversions between float32 and the stored types, element by element.
#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint16_t to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00 | (uint16_t)(magnitude >> 13 & 0x3FF);
  if (magnitude >= 0x477FF000) return sign | 0x7C00;
  if (magnitude < 0x38800000) {
    // Spacing below the normal range is 2^-24: adding 0.5 makes the addition round there.
    float shifted;
    memcpy(&shifted, &magnitude, 4);
    shifted += 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &shifted, 4);
    return sign | (uint16_t)(rounded - 0x3F000000);
  }
  return sign | (uint16_t)((magnitude + 0xC8000FFFu + (magnitude >> 13 & 1)) >> 13);
}

static uint16_t to_bfloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (value != value) return (uint16_t)(bits >> 16) | 0x40;
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static int8_t to_byte(float value) {
  float r = nearbyintf(value);
  return (int8_t)(r >= 127 ? 127 : r <= -127 ? -127 : r == r ? r : 0);
}

static void blocks_to_float(gw_type type, long count, const uint8_t *src, float *dst) {
  gw_block block;
  // Adding zero would make the zero of a negative scale positive.
  int has_offset = type == GW_Q4_1 || type == GW_Q5_1 || type == GW_Q4_K || type == GW_Q5_K;
  for (long g = 0; g < count / 32; g++) {
    gw_unpack_block(type, src, g, &block);
    for (int i = 0; i < 32; i++) {
      float product = block.scale[i / 16] * (float)(block.q[i] - block.zero);
      dst[g * 32 + i] = has_offset ? product + block.offset[i / 16] : product;
    }
  }
}

void gw_to_float_portable(gw_type type, long count, const void *src, float *dst) {
  const uint8_t *bytes = src;
  switch (type) {
    case GW_F32: memcpy(dst, src, (size_t)count * 4); break;
    case GW_F16:
      for (long i = 0; i < count; i++) dst[i] = gw_half(bytes + 2 * i);
      break;
    case GW_BF16:
      for (long i = 0; i < count; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, 2);
        uint32_t bits = (uint32_t)h << 16;
        memcpy(dst + i, &bits, 4);
      }
      break;
    case GW_I8:
      for (long i = 0; i < count; i++) dst[i] = (float)(int8_t)bytes[i];
      break;
    case GW_I32:
      for (long i = 0; i < count; i++) {
        int32_t v;
        memcpy(&v, bytes + 4 * i, 4);
        dst[i] = (float)v;
      }
      break;
    default: blocks_to_float(type, count, bytes, dst);
  }
}

void gw_from_float_portable(gw_type type, long count, const float *src, void *dst) {
  switch (type) {
    case GW_F32: memcpy(dst, src, (size_t)count * 4); break;
    case GW_F16:
      for (long i = 0; i < count; i++) ((uint16_t *)dst)[i] = to_half(src[i]);
      break;
    case GW_BF16:
      for (long i = 0; i < count; i++) ((uint16_t *)dst)[i] = to_bfloat(src[i]);
      break;
    case GW_I8:
      for (long i = 0; i < count; i++) ((int8_t *)dst)[i] = to_byte(src[i]);
      break;
    case GW_I32:
      for (long i = 0; i < count; i++) ((int32_t *)dst)[i] = gw_to_word(src[i]);
      break;
    default: break;
  }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma,f16c")))

AVX2 static void nibbles_to_float(__m128i packed, __m256 scale, __m256 offset, int zero, float *dst) {
  __m128i mask = _mm_set1_epi8(15), shift = _mm_set1_epi8((char)zero);
  __m128i part[2] = {_mm_sub_epi8(_mm_and_si128(packed, mask), shift),
                     _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(packed, 4), mask), shift)};
  for (int h = 0; h < 2; h++)
    for (int q = 0; q < 2; q++) {
      __m128i bytes = q ? _mm_srli_si128(part[h], 8) : part[h];
      __m256 value = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
      _mm256_storeu_ps(dst + h * 16 + q * 8, _mm256_add_ps(_mm256_mul_ps(value, scale), offset));
    }
}

AVX2 void gw_to_float_avx2(gw_type type, long count, const void *src, float *dst) {
  const uint8_t *b = src;
  long i = 0;
  switch (type) {
    case GW_F16:
      for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(b + 2 * i))));
      break;
    case GW_BF16:
      for (; i + 8 <= count; i += 8) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(b + 2 * i)));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_slli_epi32(wide, 16));
      }
      break;
    case GW_I8:
      for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(dst + i,
                         _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + i)))));
      break;
    case GW_Q4_0:
      for (; i < count; i += 32, b += 18)
        nibbles_to_float(_mm_loadu_si128((const __m128i *)(b + 2)), _mm256_set1_ps(gw_half(b)),
                         _mm256_set1_ps(-0.0f), 8, dst + i);
      return;
    case GW_Q4_1:
      for (; i < count; i += 32, b += 20)
        nibbles_to_float(_mm_loadu_si128((const __m128i *)(b + 4)), _mm256_set1_ps(gw_half(b)),
                         _mm256_set1_ps(gw_half(b + 2)), 0, dst + i);
      return;
    case GW_Q8_0:
      for (; i < count; i += 32, b += 34)
        for (int j = 0; j < 32; j += 8) {
          __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + 2 + j)));
          _mm256_storeu_ps(dst + i + j, _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(gw_half(b))));
        }
      return;
    default: break;
  }
  if (i == 0) {
    gw_to_float_portable(type, count, src, dst);
  } else {
    gw_to_float_portable(type, count - i, b + i * gw_block_bytes(type), dst + i);
  }
}

AVX2 void gw_from_float_avx2(gw_type type, long count, const float *src, void *dst) {
  long i = 0;
  if (type == GW_F16)
    for (; i + 8 <= count; i += 8)
      _mm_storeu_si128((__m128i *)((uint16_t *)dst + i),
                       _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
  if (type == GW_BF16)
    for (; i + 8 <= count; i += 8) {
      const __m256 v = _mm256_loadu_ps(src + i);
      const __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
      const __m256i even = _mm256_add_epi32(_mm256_and_si256(high, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7FFF));
      const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, even), 16);
      const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
      const __m256i kept = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
      const __m256i n = _mm256_blendv_epi8(rounded, kept, nan);
      const __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
      _mm_storeu_si128((__m128i *)((uint16_t *)dst + i), w);
    }
  if (type == GW_I8)
    for (; i + 8 <= count; i += 8) {
      __m256 v = _mm256_loadu_ps(src + i);
      v = _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));
      v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
      __m256i n = _mm256_cvtps_epi32(v);
      __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
      _mm_storel_epi64((__m128i *)((int8_t *)dst + i), _mm_packs_epi16(w, w));
    }
  gw_from_float_portable(type, count - i, src + i, (uint8_t *)dst + i * gw_block_bytes(type));
}
#endif
