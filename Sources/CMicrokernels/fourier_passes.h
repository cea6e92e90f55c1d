// Passes of a transform over lines, one butterfly for each position of a block, and their recursion: a block that fits the
// nearest cache is finished before the next is begun.
#include "fourier_butterflies.h"

INLINE void load_lines(int radix, const float *x, long m, v8 *re, v8 *im) {
#pragma clang loop unroll(full)
  for (int q = 0; q < radix; q++) {
    re[q] = load8(x + q * m * GW_LINE);
    im[q] = load8(x + q * m * GW_LINE + 8);
  }
}

INLINE void store_lines(int radix, float *x, long m, const v8 *re, const v8 *im) {
#pragma clang loop unroll(full)
  for (int q = 0; q < radix; q++) {
    store8(x + q * m * GW_LINE, re[q]);
    store8(x + q * m * GW_LINE + 8, im[q]);
  }
}

INLINE void forward_pass(int radix, long m, float *x, const float *w) {
  for (long j = 0; j < m; j++, x += GW_LINE, w += 2 * (radix - 1)) {
    v8 re[8], im[8];
    load_lines(radix, x, m, re, im);
    butterfly(radix, re, im);
#pragma clang loop unroll(full)
    for (int q = 1; q < radix; q++) {
      v8 c = splat(w[2 * q - 2]), s = splat(w[2 * q - 1]);
      v8 r = re[q], i = im[q];
      re[q] = FMA(r, c, -(i * s));
      im[q] = FMA(r, s, i * c);
    }
    store_lines(radix, x, m, re, im);
  }
}

INLINE void inverse_pass(int radix, long m, float *x, const float *w) {
  for (long j = 0; j < m; j++, x += GW_LINE, w += 2 * (radix - 1)) {
    v8 re[8], im[8];
    load_lines(radix, x, m, re, im);
#pragma clang loop unroll(full)
    for (int q = 1; q < radix; q++) {
      v8 c = splat(w[2 * q - 2]), s = splat(w[2 * q - 1]);
      v8 r = re[q], i = im[q];
      re[q] = FMA(r, c, i * s);
      im[q] = FMA(i, c, -(r * s));
    }
    butterfly(radix, im, re);
    store_lines(radix, x, m, re, im);
  }
}

// The last level of `blocks` blocks, the products with the spectrum, and the first level back.
INLINE void middle(int radix, gw_transform_mode mode, long blocks, float *x, const float *k, const float *u, float *dk) {
  for (long b = 0; b < blocks; b++) {
    v8 re[8], im[8];
    load_lines(radix, mode == GW_FILTER ? u : x, 1, re, im);
    if (mode <= GW_GRADIENT) butterfly(radix, re, im);
    if (mode != GW_SPECTRUM && mode != GW_INVERSE) {
#pragma clang loop unroll(full)
      for (int q = 0; q < radix; q++) {
        v8 kr = load8(k + q * GW_LINE), ki = load8(k + q * GW_LINE + 8);
        v8 r = re[q], i = im[q];
        if (mode == GW_GRADIENT) {
          v8 ur = load8(u + q * GW_LINE), ui = load8(u + q * GW_LINE + 8);
          store8(dk + q * GW_LINE, FMA(r, ur, FMA(i, ui, load8(dk + q * GW_LINE))));
          store8(dk + q * GW_LINE + 8, FMA(i, ur, FMA(-r, ui, load8(dk + q * GW_LINE + 8))));
        }
        if (mode == GW_CONVOLVE || mode == GW_FILTER) {
          re[q] = FMA(r, kr, -(i * ki));
          im[q] = FMA(r, ki, i * kr);
        } else {
          re[q] = FMA(r, kr, i * ki);
          im[q] = FMA(i, kr, -(r * ki));
        }
      }
    }
    if (mode != GW_SPECTRUM) butterfly(radix, im, re);
    store_lines(radix, x, 1, re, im);
    x += radix * GW_LINE, k += radix * GW_LINE, u += radix * GW_LINE, dk += radix * GW_LINE;
  }
}

#define EACH_RADIX(call)                                                                                           \
  switch (radix) {                                                                                                 \
    case 1: call(1); break;                                                                                        \
    case 2: call(2); break;                                                                                        \
    case 3: call(3); break;                                                                                        \
    case 4: call(4); break;                                                                                        \
    case 5: call(5); break;                                                                                        \
    case 7: call(7); break;                                                                                        \
    case 8: call(8); break;                                                                                        \
    default: break;                                                                                                \
  }

static void forward_level(int radix, long m, float *x, const float *w) {
#define CALL(r) forward_pass(r, m, x, w)
  EACH_RADIX(CALL)
#undef CALL
}

static void inverse_level(int radix, long m, float *x, const float *w) {
#define CALL(r) inverse_pass(r, m, x, w)
  EACH_RADIX(CALL)
#undef CALL
}

#define MIDDLE(name, mode)                                                                                         \
  static void name(int radix, long blocks, float *x, const float *k, const float *u, float *dk) {                  \
    EACH_RADIX(mode)                                                                                               \
  }
#define SPECTRUM_(r) middle(r, GW_SPECTRUM, blocks, x, k, u, dk)
#define CONVOLVE_(r) middle(r, GW_CONVOLVE, blocks, x, k, u, dk)
#define CORRELATE_(r) middle(r, GW_CORRELATE, blocks, x, k, u, dk)
#define GRADIENT_(r) middle(r, GW_GRADIENT, blocks, x, k, u, dk)
#define FILTER_(r) middle(r, GW_FILTER, blocks, x, k, u, dk)
#define INVERSE_(r) middle(r, GW_INVERSE, blocks, x, k, u, dk)
MIDDLE(middle_spectrum, SPECTRUM_)
MIDDLE(middle_convolve, CONVOLVE_)
MIDDLE(middle_correlate, CORRELATE_)
MIDDLE(middle_gradient, GRADIENT_)
MIDDLE(middle_filter, FILTER_)
MIDDLE(middle_inverse, INVERSE_)

typedef void (*middle_routine)(int, long, float *, const float *, const float *, float *);
static const middle_routine middles[6] = {middle_spectrum, middle_convolve, middle_correlate,
                                          middle_gradient, middle_filter,   middle_inverse};

// Operands that lie beside the lines of x, at the same places.
typedef struct {
  const float *k, *u;
  float *dk;
} beside;

static inline beside advance(beside b, long lines) {
  ptrdiff_t floats = lines * GW_LINE;
  return (beside){b.k ? b.k + floats : b.k, b.u ? b.u + floats : b.u, b.dk ? b.dk + floats : b.dk};
}

static void descend(const gw_transform *t, gw_transform_mode mode, long level, long m, long block, float *x, beside o) {
  // `m` is the length of the blocks that level splits, `block` the number of the first one of the last level.
  int radix = t->radix[level];
  long last = t->levels - 1, ends = m / t->radix[last];
  if (t->kept && t->kept[block + ends] == t->kept[block]) {
    memset(x, 0, (size_t)m * GW_LINE * sizeof(float));
    return;
  }
  int open = mode >= GW_OPEN_SPECTRUM;
  if (level == last) {
    if (!open) middles[mode](radix, 1, x, o.k, o.u, o.dk);
    return;
  }
  long part = m / radix;
  if (mode <= GW_GRADIENT || mode == GW_OPEN_SPECTRUM) forward_level(radix, part, x, t->twiddles[level]);
  if (level + 1 == last && !t->kept) {
    if (!open) middles[mode](t->radix[last], ends, x, o.k, o.u, o.dk);
  } else {
    for (int q = 0; q < radix; q++)
      descend(t, mode, level + 1, part, block + q * (ends / radix), x + q * part * GW_LINE, advance(o, q * part));
  }
  if (mode != GW_SPECTRUM && mode != GW_OPEN_SPECTRUM) inverse_level(radix, part, x, t->twiddles[level]);
}

void JOIN(gw_transform_, SUFFIX)(const gw_transform *t, gw_transform_mode mode, float *x, const float *k,
                                 const float *u, float *dk) {
  descend(t, mode, 0, t->length, 0, x, (beside){k, u, dk});
}
