// Sums that several threads add to.
#include "internal.h"

void gw_add_shared(long rows, long columns, const float *a, ptrdiff_t a_row, ptrdiff_t a_column, float *c,
                   ptrdiff_t c_row, ptrdiff_t c_column) {
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < columns; j++) {
      float *at = c + i * c_row + j * c_column;
      const float term = a[i * a_row + j * a_column];
      float before, after;
      __atomic_load(at, &before, __ATOMIC_RELAXED);
      // Relaxed: the end of the launch orders the sums before whoever reads them.
      do after = before + term;
      while (!__atomic_compare_exchange(at, &before, &after, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    }
}

void gw_add_shared_rounded(long rows, long columns, const float *a, ptrdiff_t a_row, ptrdiff_t a_column, int32_t *c,
                           ptrdiff_t c_row, ptrdiff_t c_column) {
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < columns; j++)
      __atomic_fetch_add((uint32_t *)c + i * c_row + j * c_column, (uint32_t)gw_to_word(a[i * a_row + j * a_column]), __ATOMIC_RELAXED);
}
