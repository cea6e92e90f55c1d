// Rows of tensors to columns of lines and back, and the turn between columns and rows.
#include "fourier_vectors.h"

INLINE v8 read8(int type, const void *p, long n) {
  if (type == GW_F32) return load8((const float *)p + n);
  v8 x;
  if (type == GW_BF16) {
    typedef uint16_t u16x8 __attribute__((vector_size(16), aligned(2)));
    typedef uint32_t u32x8 __attribute__((vector_size(32), aligned(4)));
    u32x8 bits = __builtin_convertvector(*(const u16x8 *)((const uint16_t *)p + n), u32x8) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
  }
  float f[8];
  TO_FLOAT(GW_F16, 8, (const uint16_t *)p + n, f);
  return load8(f);
}

INLINE float read1(int type, const void *p, long n) {
  float f;
  if (type == GW_F32) return ((const float *)p)[n];
  TO_FLOAT((gw_type)type, 1, (const uint16_t *)p + n, &f);
  return f;
}

INLINE void write8(int type, void *p, long n, v8 x) {
  if (type == GW_F32) return store8((float *)p + n, x);
  float f[8];
  store8(f, x);
  FROM_FLOAT((gw_type)type, 8, f, (uint16_t *)p + n);
}

INLINE void write1(int type, void *p, long n, float x) {
  if (type == GW_F32) ((float *)p)[n] = x;
  else FROM_FLOAT((gw_type)type, 1, &x, (uint16_t *)p + n);
}

// Numbers n ..< n + 8 of a signal, of which `width` are wanted.
INLINE v8 signal8(const gw_signal *s, long n, long width) {
  if (width == 8 && n + 8 <= s->length) {
    v8 x = read8(s->type, s->x, n);
    return s->gate ? x * read8(s->type, s->gate, n) : x;
  }
  float f[8] = {0};
  for (long c = 0; c < width && n + c < s->length; c++)
    f[c] = read1(s->type, s->x, n + c) * (s->gate ? read1(s->type, s->gate, n + c) : 1);
  return load8(f);
}

INLINE v8 any8(int type, const void *p, long n, long width) {
  if (width == 8) return read8(type, p, n);
  float f[8] = {0};
  for (long c = 0; c < width; c++) f[c] = read1(type, p, n + c);
  return load8(f);
}

INLINE void put8(int type, void *p, long n, long width, v8 x) {
  if (width == 8) return write8(type, p, n, x);
  float f[8];
  store8(f, x);
  for (long c = 0; c < width; c++) write1(type, p, n + c, f[c]);
}

// Eight results from number n on, of which `width` are wanted.
INLINE void result8(const gw_result *r, long n, long width, v8 c) {
  if (n + width > r->length) width = r->length - n;
  if (width <= 0) return;
  if (r->carry) c = FMA(splat(r->carry_scale), any8(GW_F32, r->carry, n, width), c);
  if (r->source.x) c = FMA(splat(r->skip), signal8(&r->source, n, width), c);
  put8(r->type, r->y, n, width, r->gate ? c * any8(r->type, r->gate, n, width) : c);
  if (r->y2) put8(r->type, r->y2, n, width, r->gate2 ? c * any8(r->type, r->gate2, n, width) : c);
}

void JOIN(gw_load_columns_, SUFFIX)(const gw_signal *real, const gw_signal *imaginary, long rows, long stride,
                                    long column, long width, const float *phase, float *lines) {
  const gw_signal a = *real;
  // Plain whole columns of float32 are the common case.
  int plain = a.type == GW_F32 && !a.gate && width == 8 && !imaginary && phase;
  for (long p = 0; p < rows; p++, lines += GW_LINE) {
    long n = p * stride + column;
    if (plain && n + 8 <= a.length) {
      v8 x = load8((const float *)a.x + n);
      store8(lines, x * splat(phase[2 * p]));
      store8(lines + 8, x * splat(phase[2 * p + 1]));
      continue;
    }
    if (n >= a.length && (!imaginary || n >= imaginary->length)) {
      memset(lines, 0, GW_LINE * sizeof(float));
      continue;
    }
    v8 re = signal8(&a, n, width), im = imaginary ? signal8(imaginary, n, width) : splat(0);
    if (phase) {
      v8 c = splat(phase[2 * p]), s = splat(phase[2 * p + 1]), r = re;
      re = FMA(r, c, -(im * s));
      im = FMA(r, s, im * c);
    }
    store8(lines, re);
    store8(lines + 8, im);
  }
}

void JOIN(gw_store_columns_, SUFFIX)(const gw_result *real, const gw_result *imaginary, long rows, long stride,
                                     long column, long width, const float *phase, const float *lines) {
  const gw_result a = *real;
  // Plain whole columns of float32 are the common case.
  int plain = a.type == GW_F32 && !a.gate && !a.y2 && !a.carry && !a.tail && !a.source.x && !a.fold && !imaginary && phase &&
              width == 8;
  for (long p = 0; p < rows; p++, lines += GW_LINE) {
    long n = p * stride + column;
    if (plain && n + 8 <= a.length) {
      v8 re = load8(lines) * splat(phase[2 * p]);
      store8((float *)a.y + n, FMA(load8(lines + 8), splat(phase[2 * p + 1]), re));
      continue;
    }
    if (n >= a.length && !a.tail && (!imaginary || n >= imaginary->length)) continue;
    v8 re = load8(lines), im = load8(lines + 8);
    if (phase) {
      v8 c = splat(phase[2 * p]), s = splat(phase[2 * p + 1]), r = re;
      re = FMA(r, c, im * s);
      im = FMA(im, c, -(r * s));
    }
    // The tail may lie where the carry is read.
    result8(&a, n, width, a.fold ? re + im : re);
    if (a.tail) put8(GW_F32, a.tail, n, width, im);
    if (imaginary) result8(imaginary, n, width, im);
  }
}

// The line of factors for line p.
INLINE void factor(const float *lanes, const float *tile, long p, v8 *c, v8 *s) {
  *c = load8(lanes + p * GW_LINE), *s = load8(lanes + p * GW_LINE + 8);
  if (tile) {
    v8 a = splat(tile[2 * p]), b = splat(tile[2 * p + 1]), r = *c;
    *c = FMA(r, a, -(*s * b));
    *s = FMA(r, b, *s * a);
  }
}

// Eight lines turned; `valid` of them exist and `width` lanes are wanted.
INLINE void spread8(const int32_t *order, long valid, const float *lines, const float *lanes, const float *tile,
                    float *to, long width) {
  v8 re[8], im[8];
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++) {
    re[q] = im[q] = splat(0);
    if (q >= valid) continue;
    long p = order[q];
    v8 r = load8(lines + p * GW_LINE), i = load8(lines + p * GW_LINE + 8), c, s;
    factor(lanes, tile, p, &c, &s);
    re[q] = FMA(r, c, -(i * s));
    im[q] = FMA(r, s, i * c);
  }
  transpose8(re);
  transpose8(im);
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++)
    if (q < width) store8(to + q * GW_LINE, re[q]), store8(to + q * GW_LINE + 8, im[q]);
}

INLINE void gather8(const int32_t *order, long valid, float *lines, const float *lanes, const float *tile,
                    const float *from, long width) {
  v8 re[8], im[8];
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++) {
    re[q] = im[q] = splat(0);
    if (q < width) re[q] = load8(from + q * GW_LINE), im[q] = load8(from + q * GW_LINE + 8);
  }
  transpose8(re);
  transpose8(im);
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++) {
    if (q >= valid) continue;
    long p = order[q];
    v8 c, s;
    factor(lanes, tile, p, &c, &s);
    store8(lines + p * GW_LINE, FMA(re[q], c, im[q] * s));
    store8(lines + p * GW_LINE + 8, FMA(im[q], c, -(re[q] * s)));
  }
}

void JOIN(gw_spread_, SUFFIX)(const int32_t *order, long count, const float *lines, const float *lanes,
                              const float *tile, float *groups, ptrdiff_t group_stride, long column, long width) {
  groups += column * GW_LINE;
  for (; count >= 8 && width == 8; count -= 8, order += 8, groups += group_stride) {
    if (tile) spread8(order, 8, lines, lanes, tile, groups, 8);
    else spread8(order, 8, lines, lanes, NULL, groups, 8);
  }
  for (; count > 0; count -= 8, order += 8, groups += group_stride)
    spread8(order, count, lines, lanes, tile, groups, width);
}

void JOIN(gw_gather_, SUFFIX)(const int32_t *order, long count, float *lines, const float *lanes, const float *tile,
                              const float *groups, ptrdiff_t group_stride, long column, long width) {
  groups += column * GW_LINE;
  for (; count >= 8 && width == 8; count -= 8, order += 8, groups += group_stride) {
    if (tile) gather8(order, 8, lines, lanes, tile, groups, 8);
    else gather8(order, 8, lines, lanes, NULL, groups, 8);
  }
  for (; count > 0; count -= 8, order += 8, groups += group_stride)
    gather8(order, count, lines, lanes, tile, groups, width);
}

void JOIN(gw_multiply_, SUFFIX)(long lines, const float *a, const float *b, int conjugate, int accumulate, float *sum) {
  const v8 sign = splat(conjugate ? -1 : 1);
  for (long p = 0; p < lines * GW_LINE; p += GW_LINE) {
    v8 ar = load8(a + p), ai = load8(a + p + 8), br = load8(b + p), bi = sign * load8(b + p + 8);
    v8 r = accumulate ? load8(sum + p) : splat(0), i = accumulate ? load8(sum + p + 8) : splat(0);
    store8(sum + p, FMA(ar, br, FMA(-ai, bi, r)));
    store8(sum + p + 8, FMA(ar, bi, FMA(ai, br, i)));
  }
}

void JOIN(gw_finish_, SUFFIX)(const gw_result *result, const float *c, const float *wrapped) {
  for (long n = 0; n < result->length; n += 8) {
    long width = result->length - n < 8 ? result->length - n : 8;
    v8 x = any8(GW_F32, c, n, width);
    if (wrapped) x += any8(GW_F32, wrapped, n, width);
    result8(result, n, width, x);
  }
}

double JOIN(gw_dot_, SUFFIX)(const gw_signal *a, const gw_signal *b) {
  double sum = 0;
  for (long n = 0; n < a->length; n += 8) {
    long width = a->length - n < 8 ? a->length - n : 8;
    float x[8], y[8];
    store8(x, signal8(a, n, width));
    store8(y, signal8(b, n, width));
    for (int c = 0; c < 8; c++) sum += (double)x[c] * (double)y[c];
  }
  return sum;
}

// Strips of 16 rows, so that what is written beside each other is written at one time.
#define TURN(type)                                                                                                 \
  for (long r = 0; r < rows; r += 16)                                                                              \
    for (long c = 0; c < columns; c++)                                                                             \
      for (long i = r; i < r + 16 && i < rows; i++)                                                                \
        ((type *)to)[c * to_row + i] = ((const type *)from)[i * from_row + c];

void JOIN(gw_turn_, SUFFIX)(long rows, long columns, int bytes, const void *from, ptrdiff_t from_row, void *to,
                            ptrdiff_t to_row) {
  if (bytes == 4) {
    TURN(uint32_t)
  } else {
    TURN(uint16_t)
  }
}
