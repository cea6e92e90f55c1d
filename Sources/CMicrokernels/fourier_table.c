// Which transforms this processor can run.
#include "fourier.h"
#include "internal.h"

#define DECLARE(suffix)                                                                                            \
  void gw_transform_##suffix(const gw_transform *, gw_transform_mode, float *, const float *, const float *,       \
                             float *);                                                                             \
  void gw_load_columns_##suffix(const gw_signal *, const gw_signal *, long, long, long, long, const float *,       \
                                float *);                                                                          \
  void gw_store_columns_##suffix(const gw_result *, const gw_result *, long, long, long, long, const float *,      \
                                 const float *);                                                                   \
  void gw_spread_##suffix(const int32_t *, long, const float *, const float *, const float *, float *, ptrdiff_t,  \
                          long, long);                                                                             \
  void gw_gather_##suffix(const int32_t *, long, float *, const float *, const float *, const float *, ptrdiff_t,  \
                          long, long);                                                                             \
  void gw_multiply_##suffix(long, const float *, const float *, int, int, float *);                                \
  void gw_finish_##suffix(const gw_result *, const float *, const float *);                                        \
  double gw_dot_##suffix(const gw_signal *, const gw_signal *);                                                    \
  void gw_turn_##suffix(long, long, int, const void *, ptrdiff_t, void *, ptrdiff_t);                              \
  static const gw_fourier suffix = {                                                                               \
      #suffix,           gw_transform_##suffix, gw_load_columns_##suffix, gw_store_columns_##suffix,               \
      gw_spread_##suffix, gw_gather_##suffix,   gw_multiply_##suffix,     gw_finish_##suffix,                      \
      gw_dot_##suffix,    gw_turn_##suffix};

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
#endif

const gw_fourier *gw_fourier_at(int index) {
  const gw_fourier *usable[2];
  int count = 0;
#if defined(__x86_64__)
  if (gw_has_avx2()) usable[count++] = &avx2;
#endif
  usable[count++] = &portable;
  return index >= 0 && index < count ? usable[index] : NULL;
}
