// Rows of tensors to columns of lines and back, and the turn between columns and rows.
#include "fourier_butterflies.h"

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

// One line of a tile: columns from number n on, times a phase.
INLINE void load_line(const gw_signal *a, const gw_signal *imaginary, long n, long width, const float *phase,
                      float *line) {
  if (n >= a->length && (!imaginary || n >= imaginary->length)) {
    memset(line, 0, GW_LINE * sizeof(float));
    return;
  }
  v8 re = signal8(a, n, width), im = imaginary ? signal8(imaginary, n, width) : splat(0);
  if (phase) {
    v8 c = splat(phase[0]), s = splat(phase[1]), r = re;
    re = FMA(r, c, -(im * s));
    im = FMA(r, s, im * c);
  }
  store8(line, re);
  store8(line + 8, im);
}

// Rows of whole columns, gated or not, times phases: what most calls load. Loops of their own, one for each type and number of
// tiles, which need few registers; a second tile follows the first.
INLINE void load_plain(int type, int tiles, int gated, const gw_signal *a, long column, long rows, long whole,
                       long stride, const float *phase, float *lines) {
  for (long p = 0; p < whole; p++, column += stride, phase += 2, lines += GW_LINE) {
    v8 c = splat(phase[0]), s = splat(phase[1]);
#pragma clang loop unroll(full)
    for (int t = 0; t < tiles; t++) {
      v8 re = read8(type, a->x, column + 8 * t);
      if (gated) re *= read8(type, a->gate, column + 8 * t);
      store8(lines + t * rows * GW_LINE, re * c);
      store8(lines + t * rows * GW_LINE + 8, re * s);
    }
  }
}

// One call for each type and number of tiles.
#define EACH_KIND(plain)                                                                                           \
  switch (2 * a->type + width / 16) {                                                                              \
    case 2 * GW_F32: plain(GW_F32, 1); break;                                                                      \
    case 2 * GW_F32 + 1: plain(GW_F32, 2); break;                                                                  \
    case 2 * GW_F16: plain(GW_F16, 1); break;                                                                      \
    case 2 * GW_F16 + 1: plain(GW_F16, 2); break;                                                                  \
    case 2 * GW_BF16: plain(GW_BF16, 1); break;                                                                    \
    default: plain(GW_BF16, 2); break;                                                                             \
  }

// Rows of a matrix that lie whole within a length.
INLINE long whole_rows(long length, long rows, long stride, long end) {
  if (end > length) return 0;
  long whole = (length - end) / stride + 1;
  return whole < rows ? whole : rows;
}

void JOIN(gw_load_columns_, SUFFIX)(const gw_signal *real, const gw_signal *imaginary, long rows, long stride,
                                    long column, long width, const float *phase, float *lines) {
  const gw_signal *a = real;
  float *second = lines + rows * GW_LINE;
  long p = 0;
  if (!imaginary && phase && (width == 8 || width == 16)) {
    p = whole_rows(a->length, rows, stride, column + width);
#define LOAD(type, tiles)                                                                                          \
  if (a->gate) load_plain(type, tiles, 1, a, column, rows, p, stride, phase, lines);                               \
  else load_plain(type, tiles, 0, a, column, rows, p, stride, phase, lines)
    EACH_KIND(LOAD)
#undef LOAD
  }
  for (; p < rows; p++) {
    long n = p * stride + column;
    const float *turn = phase ? phase + 2 * p : NULL;
    load_line(a, imaginary, n, width < 8 ? width : 8, turn, lines + p * GW_LINE);
    if (width > 8) load_line(a, imaginary, n + 8, width - 8, turn, second + p * GW_LINE);
  }
}

INLINE void store_line(const gw_result *a, const gw_result *imaginary, long n, long width, const float *phase,
                       const float *line) {
  if (n >= a->length && !a->tail && (!imaginary || n >= imaginary->length)) return;
  v8 re = load8(line), im = load8(line + 8);
  if (phase) {
    v8 c = splat(phase[0]), s = splat(phase[1]), r = re;
    re = FMA(r, c, im * s);
    im = FMA(im, c, -(r * s));
  }
  // The tail may lie where the carry is read.
  result8(a, n, width, a->fold ? re + im : re);
  if (a->tail) put8(GW_F32, a->tail, n, width, im);
  if (imaginary) result8(imaginary, n, width, im);
}

// `bare`: neither gate nor skip term.
INLINE void store_plain(int type, int tiles, int bare, const gw_result *a, long column, long rows, long whole,
                        long stride, const float *phase, const float *lines) {
  const v8 skip = splat(a->skip);
  for (long p = 0; p < whole; p++, column += stride, phase += 2, lines += GW_LINE) {
    v8 c = splat(phase[0]), s = splat(phase[1]);
#pragma clang loop unroll(full)
    for (int t = 0; t < tiles; t++) {
      const float *line = lines + t * rows * GW_LINE;
      const long n = column + 8 * t;
      v8 re = FMA(load8(line + 8), s, load8(line) * c);
      if (!bare && a->source.x) {
        v8 x = read8(type, a->source.x, n);
        if (a->source.gate) x *= read8(type, a->source.gate, n);
        re = FMA(skip, x, re);
      }
      if (!bare && a->gate) re *= read8(type, a->gate, n);
      write8(type, a->y, n, re);
    }
  }
}

void JOIN(gw_store_columns_, SUFFIX)(const gw_result *real, const gw_result *imaginary, long rows, long stride,
                                     long column, long width, const float *phase, const float *lines) {
  const gw_result *a = real;
  const float *second = lines + rows * GW_LINE;
  int plain = !a->y2 && !a->carry && !a->tail && !a->fold && !imaginary;
  if (a->source.x) plain = plain && a->source.type == a->type && a->source.length >= a->length;
  long p = 0;
  if (plain && phase && (width == 8 || width == 16)) {
    p = whole_rows(a->length, rows, stride, column + width);
#define STORE(type, tiles)                                                                                         \
  if (a->gate || a->source.x) store_plain(type, tiles, 0, a, column, rows, p, stride, phase, lines);               \
  else store_plain(type, tiles, 1, a, column, rows, p, stride, phase, lines)
    EACH_KIND(STORE)
#undef STORE
  }
  for (; p < rows; p++) {
    long n = p * stride + column;
    const float *turn = phase ? phase + 2 * p : NULL;
    store_line(a, imaginary, n, width < 8 ? width : 8, turn, lines + p * GW_LINE);
    if (width > 8) store_line(a, imaginary, n + 8, width - 8, turn, second + p * GW_LINE);
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
    long p = order ? order[q] : q;
    re[q] = load8(lines + p * GW_LINE), im[q] = load8(lines + p * GW_LINE + 8);
  }
  if (!order) butterfly8(re, im);
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++) {
    if (q >= valid) continue;
    v8 r = re[q], i = im[q], c, s;
    factor(lanes, tile, order ? order[q] : q, &c, &s);
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
    v8 r = re[q], i = im[q], c, s;
    factor(lanes, tile, order ? order[q] : q, &c, &s);
    re[q] = FMA(r, c, i * s);
    im[q] = FMA(i, c, -(r * s));
  }
  if (!order) butterfly8(im, re);
#pragma clang loop unroll(full)
  for (int q = 0; q < 8; q++) {
    if (q >= valid) continue;
    long p = order ? order[q] : q;
    store8(lines + p * GW_LINE, re[q]);
    store8(lines + p * GW_LINE + 8, im[q]);
  }
}

// Lines of a tile eight by eight through `turn8`, which is inlined once for each kind of call.
#define EIGHTS(turn8)                                                                                              \
  groups += column * GW_LINE;                                                                                      \
  for (; !order && count > 0; count -= 8, groups += group_stride) {                                                \
    if (width < 8) turn8(NULL, 8, lines, lanes, tile, groups, width);                                              \
    else if (tile) turn8(NULL, 8, lines, lanes, tile, groups, 8);                                                  \
    else turn8(NULL, 8, lines, lanes, NULL, groups, 8);                                                            \
    lines += 8 * GW_LINE, lanes += 8 * GW_LINE, tile += tile ? 16 : 0;                                             \
  }                                                                                                                \
  for (; count >= 8 && width == 8; count -= 8, order += 8, groups += group_stride) {                               \
    if (tile) turn8(order, 8, lines, lanes, tile, groups, 8);                                                      \
    else turn8(order, 8, lines, lanes, NULL, groups, 8);                                                           \
  }                                                                                                                \
  for (; count > 0; count -= 8, order += 8, groups += group_stride)                                                \
    turn8(order, count, lines, lanes, tile, groups, width);

void JOIN(gw_spread_, SUFFIX)(const int32_t *order, long count, const float *lines, const float *lanes,
                              const float *tile, float *groups, ptrdiff_t group_stride, long column, long width) {
  EIGHTS(spread8)
}

void JOIN(gw_gather_, SUFFIX)(const int32_t *order, long count, float *lines, const float *lanes, const float *tile,
                              const float *groups, ptrdiff_t group_stride, long column, long width) {
  EIGHTS(gather8)
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
