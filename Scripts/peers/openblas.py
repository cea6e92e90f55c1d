#!/usr/bin/env python3
"""Times numpy's OpenBLAS on the products of `godwit bench gemm`, one JSON line each; ms is the median.

  Scripts/peers/setup
  env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .peers/bin/python Scripts/peers/openblas.py [--threads 2]
"""
import argparse
import json

import numpy
import threadpoolctl

from timing import median_seconds

SHAPES = ((64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048),
          (1, 1536, 576), (32, 1536, 576), (512, 1536, 576))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time to spend on each shape")
    arguments = parser.parse_args()
    build = next(i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas")
    peer = f"numpy ({build['internal_api']} {build['version']} {build.get('architecture', '')})"
    generator = numpy.random.default_rng(0)
    with threadpoolctl.threadpool_limits(arguments.threads):
        for m, n, k in SHAPES:
            a = generator.standard_normal((m, k), dtype=numpy.float32)
            b = generator.standard_normal((k, n), dtype=numpy.float32)
            c = numpy.empty((m, n), dtype=numpy.float32)
            seconds = median_seconds(lambda: numpy.matmul(a, b, out=c), arguments.seconds)
            print(json.dumps({"op": "gemm", "shape": f"M={m} N={n} K={k}", "peer": peer,
                              "threads": arguments.threads, "ms": round(seconds * 1e3, 4),
                              "gflops": round(2 * m * n * k / seconds / 1e9, 1)}), flush=True)


main()
