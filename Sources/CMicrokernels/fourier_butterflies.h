// Transforms of 2 to 8 vectors of complex numbers, in order. The inverse is the same with real and imaginary parts
// exchanged.
#ifndef GODWIT_FOURIER_BUTTERFLIES_H
#define GODWIT_FOURIER_BUTTERFLIES_H

#include "fourier_vectors.h"

INLINE void butterfly2(v8 *re, v8 *im) {
  v8 r = re[0] - re[1], i = im[0] - im[1];
  re[0] += re[1], im[0] += im[1];
  re[1] = r, im[1] = i;
}

INLINE void butterfly3(v8 *re, v8 *im) {
  const v8 half = splat(-0.5f), s = splat(0.866025403784438647f);
  v8 pr = re[1] + re[2], pi = im[1] + im[2], mr = re[1] - re[2], mi = im[1] - im[2];
  v8 cr = FMA(half, pr, re[0]), ci = FMA(half, pi, im[0]);
  re[0] += pr, im[0] += pi;
  re[1] = FMA(s, mi, cr), im[1] = FMA(-s, mr, ci);
  re[2] = FMA(-s, mi, cr), im[2] = FMA(s, mr, ci);
}

INLINE void butterfly4(v8 *re, v8 *im) {
  v8 ar = re[0] + re[2], ai = im[0] + im[2], br = re[0] - re[2], bi = im[0] - im[2];
  v8 cr = re[1] + re[3], ci = im[1] + im[3], dr = re[1] - re[3], di = im[1] - im[3];
  re[0] = ar + cr, im[0] = ai + ci;
  re[2] = ar - cr, im[2] = ai - ci;
  re[1] = br + di, im[1] = bi - dr;
  re[3] = br - di, im[3] = bi + dr;
}

INLINE void butterfly5(v8 *re, v8 *im) {
  const v8 c1 = splat(0.309016994374947424f), c2 = splat(-0.809016994374947424f);
  const v8 s1 = splat(0.951056516295153572f), s2 = splat(0.587785252292473129f);
  v8 pr = re[1] + re[4], pi = im[1] + im[4], mr = re[1] - re[4], mi = im[1] - im[4];
  v8 qr = re[2] + re[3], qi = im[2] + im[3], nr = re[2] - re[3], ni = im[2] - im[3];
  v8 ar = FMA(c2, qr, FMA(c1, pr, re[0])), ai = FMA(c2, qi, FMA(c1, pi, im[0]));
  v8 br = FMA(c1, qr, FMA(c2, pr, re[0])), bi = FMA(c1, qi, FMA(c2, pi, im[0]));
  v8 xr = FMA(s2, nr, s1 * mr), xi = FMA(s2, ni, s1 * mi);
  v8 yr = FMA(-s1, nr, s2 * mr), yi = FMA(-s1, ni, s2 * mi);
  re[0] += pr + qr, im[0] += pi + qi;
  re[1] = ar + xi, im[1] = ai - xr;
  re[4] = ar - xi, im[4] = ai + xr;
  re[2] = br + yi, im[2] = bi - yr;
  re[3] = br - yi, im[3] = bi + yr;
}

INLINE void butterfly7(v8 *re, v8 *im) {
  static const float c[3] = {0.623489801858733531f, -0.222520933956314404f, -0.900968867902419126f};
  static const float s[3] = {0.781831482468029809f, 0.974927912181823607f, 0.433883739117558120f};
  v8 pr[3], pi[3], mr[3], mi[3];
#pragma clang loop unroll(full)
  for (int q = 0; q < 3; q++) {
    pr[q] = re[q + 1] + re[6 - q], pi[q] = im[q + 1] + im[6 - q];
    mr[q] = re[q + 1] - re[6 - q], mi[q] = im[q + 1] - im[6 - q];
  }
  v8 r0 = re[0], i0 = im[0];
  re[0] = r0 + (pr[0] + pr[1] + pr[2]), im[0] = i0 + (pi[0] + pi[1] + pi[2]);
#pragma clang loop unroll(full)
  for (int k = 1; k <= 3; k++) {
    v8 ar = r0, ai = i0, xr = splat(0), xi = splat(0);
#pragma clang loop unroll(full)
    for (int q = 1; q <= 3; q++) {
      // cos and sin of 2 pi k q / 7, folded to the first half of the circle.
      int turn = k * q % 7, fold = turn > 3 ? 7 - turn : turn;
      v8 cosine = splat(c[fold - 1]), sine = splat(turn > 3 ? -s[fold - 1] : s[fold - 1]);
      ar = FMA(cosine, pr[q - 1], ar), ai = FMA(cosine, pi[q - 1], ai);
      xr = FMA(sine, mr[q - 1], xr), xi = FMA(sine, mi[q - 1], xi);
    }
    re[k] = ar + xi, im[k] = ai - xr;
    re[7 - k] = ar - xi, im[7 - k] = ai + xr;
  }
}

INLINE void butterfly8(v8 *re, v8 *im) {
  const v8 h = splat(0.707106781186547524f);
  v8 er[4] = {re[0], re[2], re[4], re[6]}, ei[4] = {im[0], im[2], im[4], im[6]};
  v8 or_[4] = {re[1], re[3], re[5], re[7]}, oi[4] = {im[1], im[3], im[5], im[7]};
  butterfly4(er, ei);
  butterfly4(or_, oi);
  v8 t1r = h * (or_[1] + oi[1]), t1i = h * (oi[1] - or_[1]);
  v8 t3r = h * (oi[3] - or_[3]), t3i = -h * (or_[3] + oi[3]);
  re[0] = er[0] + or_[0], im[0] = ei[0] + oi[0];
  re[4] = er[0] - or_[0], im[4] = ei[0] - oi[0];
  re[1] = er[1] + t1r, im[1] = ei[1] + t1i;
  re[5] = er[1] - t1r, im[5] = ei[1] - t1i;
  re[2] = er[2] + oi[2], im[2] = ei[2] - or_[2];
  re[6] = er[2] - oi[2], im[6] = ei[2] + or_[2];
  re[3] = er[3] + t3r, im[3] = ei[3] + t3i;
  re[7] = er[3] - t3r, im[7] = ei[3] - t3i;
}

// `radix` is a constant wherever this is called.
INLINE void butterfly(int radix, v8 *re, v8 *im) {
  switch (radix) {
    case 2: butterfly2(re, im); break;
    case 1: break;
    case 3: butterfly3(re, im); break;
    case 4: butterfly4(re, im); break;
    case 5: butterfly5(re, im); break;
    case 7: butterfly7(re, im); break;
    default: butterfly8(re, im); break;
  }
}

#endif
