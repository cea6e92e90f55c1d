// Transforms for long convolutions on the CPU: pointers and counts in, no state, no allocation.
//
// A row of S = rows x stride complex numbers is seen as a matrix, `stride` columns wide. Columns are transformed first,
// eight beside each other in the lanes of a vector, then eight transformed rows beside each other. A *line* is 16 floats:
// eight real parts, eight imaginary parts, one of each for every lane. Frequencies are never put in order: a filter's
// spectrum is made by the same steps, and the inverse undoes them one by one.
#ifndef GODWIT_FOURIER_H
#define GODWIT_FOURIER_H

#include "microkernels.h"

enum { GW_LEVELS = 24, GW_LINE = 16 };

// A transform of `length` lines, decimation in frequency: level i splits a block of n lines in radix[i] blocks of
// m = n / radix[i]; output q of position j is multiplied by exp(-2 pi i q j / n), twiddles[i][(j * (radix - 1) + q - 1) * 2]
// and the number after it. Radices: 2, 3, 4, 5, 7, 8, and 1 alone. The last level has m = 1 and no twiddles.
typedef struct {
  long length;
  long levels;
  int32_t radix[GW_LEVELS];
  const float *twiddles[GW_LEVELS];
  // NULL, or for each block of the last level how many blocks before it are kept, and the sum of all at the end: blocks
  // that are not kept are neither computed nor read, and count as zero.
  const int32_t *kept;
} gw_transform;

typedef enum {
  GW_SPECTRUM = 0,   // x <- T x
  GW_CONVOLVE = 1,   // x <- T' (k T x)
  GW_CORRELATE = 2,  // x <- T' (conj(k) T x)
  GW_GRADIENT = 3,   // z = T x; dk <- dk + z conj(u); x <- T' (conj(k) z)
  GW_FILTER = 4,     // x <- T' (k u)
  GW_INVERSE = 5,    // x <- T' x
  GW_OPEN_SPECTRUM = 6,  // as GW_SPECTRUM and GW_INVERSE without the last level
  GW_OPEN_INVERSE = 7,
} gw_transform_mode;

// One row to be read: number n is x[n], times gate[n] where there is a gate, for n < length, else 0.
typedef struct {
  long length;
  int32_t type;  // GW_F32, GW_F16 or GW_BF16, of both
  const void *x;
  const void *gate;
} gw_signal;

// One row to be written: with c[n] the convolution and s the row that was read,
//   r = c[n] + carry_scale * carry[n] + skip * s[n];  y[n] = gate[n] * r;  y2[n] = gate2[n] * r, for n < length.
// Any pointer but y may be NULL; a NULL gate is 1. tail[n] <- the part of the convolution past the transform's length
// (float32, all S numbers). `fold` adds that part to c instead.
typedef struct {
  long length;
  int32_t type;
  int32_t fold;
  void *y;
  const void *gate;
  void *y2;
  const void *gate2;
  const float *carry;
  float *tail;
  float carry_scale;
  float skip;
  gw_signal source;
} gw_result;

typedef struct {
  const char *name;

  // T' is the inverse without its division by the length. u and dk are read in GW_GRADIENT only, u also in GW_FILTER.
  void (*transform)(const gw_transform *t, gw_transform_mode mode, float *x, const float *k, const float *u, float *dk);

  // Columns of the matrix as lines, one for each row: `width` columns, 8 or fewer in one tile of rows lines, up to 16 in two tiles,
  // which share cache lines of the row; zero past `width`. Multiplied by phase[row] (pairs; NULL for 1). `imaginary` is the row of
  // imaginary parts, or NULL.
  void (*load_columns)(const gw_signal *real, const gw_signal *imaginary, long rows, long stride, long column,
                       long width, const float *phase, float *lines);

  // Lines times conj(phase), their real parts to one row, imaginary parts to another where there is one.
  void (*store_columns)(const gw_result *real, const gw_result *imaginary, long rows, long stride, long column,
                        long width, const float *phase, const float *lines);

  // Lines order[0 ..< count] of a tile of columns, each times lanes[order] (a line) and times tile[order] (a pair; NULL for 1),
  // turned so that lanes are rows: group i / 8 has line `column + c` for column c, lane i % 8. Groups lie group_stride floats apart.
  // Without an order lines follow each other, and their last level, of radix 8, is done before.
  void (*spread)(const int32_t *order, long count, const float *lines, const float *lanes, const float *tile,
                 float *groups, ptrdiff_t group_stride, long column, long width);

  // Undoes `spread` with the conjugate factors, up to the length of the transform.
  void (*gather)(const int32_t *order, long count, float *lines, const float *lanes, const float *tile,
                 const float *groups, ptrdiff_t group_stride, long column, long width);

  // sum <- (accumulate ? sum : 0) + a b, or a conj(b), over lines.
  void (*multiply)(long lines, const float *a, const float *b, int conjugate, int accumulate, float *sum);

  // Writes a row whose convolution is c, and c + wrapped where that is not NULL.
  void (*finish)(const gw_result *result, const float *c, const float *wrapped);

  // The sum over n < a.length of a[n] b[n], in float64; b.length is not read.
  double (*dot)(const gw_signal *a, const gw_signal *b);

  // to[c * to_row + r] <- from[r * from_row + c] for rows x columns elements of 2 or 4 bytes.
  void (*turn)(long rows, long columns, int bytes, const void *from, ptrdiff_t from_row, void *to, ptrdiff_t to_row);
} gw_fourier;

// The tables this processor can run, best first; NULL past the last.
const gw_fourier *gw_fourier_at(int index);

#endif
