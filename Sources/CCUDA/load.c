#include "gw_cuda.h"
