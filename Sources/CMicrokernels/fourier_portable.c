// Transforms for any processor.
#define SUFFIX portable
#define TO_FLOAT gw_to_float_portable
#define FROM_FLOAT gw_from_float_portable
#include "fourier_passes.h"
#include "fourier_rows.h"
