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
