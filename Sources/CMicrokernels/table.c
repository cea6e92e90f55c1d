// Which routines this processor can run.
#include "internal.h"

#define TABLE(suffix)                                                                                              \
  {#suffix, gw_matmul_f32_##suffix, gw_matmul_rows_##suffix, gw_pack_rows_##suffix, gw_pack_columns_##suffix,      \
   gw_to_float_##suffix, gw_from_float_##suffix, gw_quantize_rows_##suffix, gw_matmul_q16_##suffix, gw_map_##suffix}

static const gw_microkernels portable = TABLE(portable);
#if defined(__x86_64__)
static const gw_microkernels avx2 = TABLE(avx2);
#endif

const gw_microkernels *gw_microkernels_at(int index) {
  const gw_microkernels *usable[2];
  int count = 0;
#if defined(__x86_64__)
  if (gw_has_avx2()) usable[count++] = &avx2;
#endif
  usable[count++] = &portable;
  return index >= 0 && index < count ? usable[index] : NULL;
}

// 20 groups of 32 for 16 rows: a kilobyte of pairs, 16 scales for each half and 16 offsets.
size_t gw_matmul_q16_workspace(long k) {
  long groups = k / 32 < 20 ? k / 32 : 20;
  return (size_t)groups * (1024 + 3 * 16 * 4) + 64;
}
