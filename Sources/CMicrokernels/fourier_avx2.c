// Transforms for AVX2 with fused multiply-add.
#if defined(__x86_64__)
// The attribute goes on everything the shared files define; the standard headers must not get it.
#include <string.h>

#include "fourier.h"
#include "internal.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define SUFFIX avx2
#define TO_FLOAT gw_to_float_avx2
#define FROM_FLOAT gw_from_float_avx2
#include "fourier_passes.h"
#include "fourier_rows.h"
#pragma clang attribute pop
#endif
