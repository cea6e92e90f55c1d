#!/usr/bin/env python3
"""Times FFTW on the causal convolutions of `godwit bench fftconv`, one JSON line each; ms is the median.

  Scripts/peers/setup
  .peers/bin/python Scripts/peers/fftw.py [--threads 2] [--seconds 1.5] [--only L=4096]

y[t] = sum over s <= t of k[s] u[t - s] in float32 by real transforms of 2 L numbers. A call pads and transforms both rows
and filters, multiplies and transforms back; plans are made before, with FFTW_MEASURE. Each thread has plans of its own and
takes blocks of rows that fit the cache: one plan for all rows, which FFTW shares out among its threads, took twice as long
at L = 1,024 and three times as long at 65,536.

FFTW comes with pyfftw. Where that is missing, a C program is compiled against Debian's libfftw3-dev in a temporary folder.
"""
import argparse
import concurrent.futures
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

from timing import median_seconds

SHAPES = ((4, 64, 256), (4, 64, 1024), (4, 64, 4096), (4, 64, 16384), (1, 64, 65536), (1, 16, 262144), (1, 4, 1048576))
# Numbers of a block of padded rows: with their spectra they fit a core's second cache.
BLOCK = 32768


def report(b, h, length, peer, threads, seconds):
    # Two real transforms of length 2 L by the usual count, as the other peers are counted.
    flops = 2 * 2.5 * (2 * length) * math.log2(2 * length) * b * h
    print(json.dumps({"op": "fftconv_causal", "shape": f"B={b} H={h} L={length}", "peer": peer, "threads": threads,
                      "ms": round(seconds * 1e3, 4), "gflops": round(flops / seconds / 1e9, 1)}), flush=True)


def row_blocks(count, threads, length):
    """Rows of a block: as many as fit the cache, and few enough for all threads."""
    return max(1, min(-(-count // threads), BLOCK // (2 * length)))


def with_pyfftw(pyfftw, numpy, arguments):
    pool = concurrent.futures.ThreadPoolExecutor(arguments.threads)

    def share(count, body):
        """body(worker, first, end) for a run of rows on each thread."""
        step = -(-count // arguments.threads)
        list(pool.map(lambda w: body(w, w * step, min(count, (w + 1) * step)), range(arguments.threads)))

    def pair(rows, length):
        """Buffers of padded rows and spectra, and the plans between them."""
        real = pyfftw.zeros_aligned((rows, 2 * length), dtype="float32")
        spectrum = pyfftw.zeros_aligned((rows, length + 1), dtype="complex64")
        back = pyfftw.zeros_aligned((rows, 2 * length), dtype="float32")
        forward = pyfftw.FFTW(real, spectrum, axes=(1,), direction="FFTW_FORWARD", flags=("FFTW_MEASURE",))
        inverse = pyfftw.FFTW(spectrum, back, axes=(1,), direction="FFTW_BACKWARD", flags=("FFTW_MEASURE",))
        # Planning writes over what it plans for.
        real[:] = 0
        return real, spectrum, back, forward, inverse

    def convolution(u, k):
        b, h, length = u.shape
        block = row_blocks(h, arguments.threads, length)
        workers = [pair(block, length) for _ in range(arguments.threads)]
        spectra = pyfftw.zeros_aligned((h, length + 1), dtype="complex64")
        y = numpy.empty_like(u)

        def filters(worker, first, end):
            real, spectrum, _, forward, _ = workers[worker]
            for start in range(first, end, block):
                count = min(block, end - start)
                real[:count, :length] = k[start:start + count]
                forward.execute()
                numpy.multiply(spectrum[:count], numpy.float32(0.5 / length), out=spectra[start:start + count])

        def rows(worker, first, end):
            real, spectrum, back, forward, inverse = workers[worker]
            for batch in range(b):
                for start in range(first, end, block):
                    count = min(block, end - start)
                    real[:count, :length] = u[batch, start:start + count]
                    forward.execute()
                    numpy.multiply(spectrum[:count], spectra[start:start + count], out=spectrum[:count])
                    inverse.execute()
                    y[batch, start:start + count] = back[:count, :length]

        def call():
            share(h, filters)
            share(h, rows)
            return y

        return call

    generator = numpy.random.default_rng(0)
    for b, h, length in wanted(arguments):
        u = generator.standard_normal((b, h, length), dtype=numpy.float32)
        k = generator.standard_normal((h, length), dtype=numpy.float32)
        call = convolution(u, k)
        check(numpy, u, k, call())
        seconds = median_seconds(call, arguments.seconds)
        report(b, h, length, "FFTW", arguments.threads, seconds)


def check(numpy, u, k, y):
    """A peer that computes something else is no peer: some results against sums in float64."""
    length = u.shape[2]
    for b, h, t in ((0, 0, 0), (u.shape[0] - 1, u.shape[1] - 1, length - 1), (0, u.shape[1] // 2, length // 3)):
        x, w = u[b, h].astype(float), k[h].astype(float)
        exact = x[:t + 1] @ w[t::-1]
        # A transform spreads its rounding over the whole row.
        if not abs(y[b, h, t] - exact) <= 1e-5 * math.sqrt((x @ x) * (w @ w)):
            sys.exit(f"fftw.py: y[{b}, {h}, {t}] is {y[b, h, t]}, not {exact}.")


PROGRAM = r"""
#define _GNU_SOURCE
#include <fftw3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int B, H, L, threads, block;
static float *u, *k, *y;
static fftwf_complex *spectra;
static struct worker { float *real, *back; fftwf_complex *spectrum; fftwf_plan forward, inverse; int first, end; } *all;

static void multiply(fftwf_complex *a, const fftwf_complex *b, long n) {
  float *x = (float *)a;
  const float *w = (const float *)b;
  for (long i = 0; i < 2 * n; i += 2) {
    const float re = x[i] * w[i] - x[i + 1] * w[i + 1], im = x[i] * w[i + 1] + x[i + 1] * w[i];
    x[i] = re, x[i + 1] = im;
  }
}

static void *work(void *argument) {
  struct worker *w = argument;
  const long n = L + 1;
  for (int batch = -1; batch < B; batch++)
    for (int start = w->first; start < w->end; start += block) {
      const int count = w->end - start < block ? w->end - start : block;
      const float *from = batch < 0 ? k + (long)start * L : u + ((long)batch * H + start) * L;
      for (int r = 0; r < count; r++) memcpy(w->real + 2L * L * r, from + (long)r * L, L * sizeof(float));
      fftwf_execute(w->forward);
      if (batch < 0) {
        for (long i = 0; i < 2 * n * count; i++) ((float *)(spectra + n * start))[i] = ((float *)w->spectrum)[i] * (0.5f / L);
        continue;
      }
      multiply(w->spectrum, spectra + n * start, n * count);
      fftwf_execute(w->inverse);
      for (int r = 0; r < count; r++) memcpy(y + ((long)batch * H + start + r) * L, w->back + 2L * L * r, L * sizeof(float));
    }
  return NULL;
}

static void call(void) {
  pthread_t started[64];
  for (int t = 1; t < threads; t++) pthread_create(started + t, NULL, work, all + t);
  work(all);
  for (int t = 1; t < threads; t++) pthread_join(started[t], NULL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int ascending(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

int main(int count, char **words) {
  B = atoi(words[1]), H = atoi(words[2]), L = atoi(words[3]), threads = atoi(words[4]), block = atoi(words[5]);
  const double budget = atof(words[6]);
  u = malloc(4L * B * H * L), k = malloc(4L * H * L), y = malloc(4L * B * H * L);
  spectra = fftwf_malloc(sizeof(fftwf_complex) * (L + 1L) * H);
  for (long i = 0; i < (long)B * H * L; i++) u[i] = (float)rand() / RAND_MAX - 0.5f;
  for (long i = 0; i < (long)H * L; i++) k[i] = (float)rand() / RAND_MAX - 0.5f;
  all = calloc(threads, sizeof *all);
  const int size[] = {2 * L}, step = (H + threads - 1) / threads;
  for (int t = 0; t < threads; t++) {
    struct worker *w = all + t;
    w->real = fftwf_malloc(8L * L * block), w->back = fftwf_malloc(8L * L * block);
    w->spectrum = fftwf_malloc(sizeof(fftwf_complex) * (L + 1L) * block);
    w->forward = fftwf_plan_many_dft_r2c(1, size, block, w->real, NULL, 1, 2 * L, w->spectrum, NULL, 1, L + 1, FFTW_MEASURE);
    w->inverse = fftwf_plan_many_dft_c2r(1, size, block, w->spectrum, NULL, 1, L + 1, w->back, NULL, 1, 2 * L, FFTW_MEASURE);
    memset(w->real, 0, 8L * L * block);
    w->first = t * step < H ? t * step : H, w->end = (t + 1) * step < H ? (t + 1) * step : H;
  }
  call();
  double exact = 0;
  for (int s = 0; s < L; s++) exact += (double)u[s] * k[L - 1 - s];
  if (!(exact - y[L - 1] < 1e-4 * L && y[L - 1] - exact < 1e-4 * L)) return 3;
  static double times[100000];
  int done = 0;
  for (double spent = 0; (spent < budget || done < 3) && done < 100000; done++) {
    const double start = now();
    call();
    spent += times[done] = now() - start;
  }
  qsort(times, done, sizeof *times, ascending);
  printf("%.9f\n", times[done / 2]);
}
"""


def with_compiler(arguments):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        sys.exit("fftw.py: there is neither pyfftw nor a C compiler. Run Scripts/peers/setup.")
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "fftw.c"), os.path.join(folder, "fftw")
        with open(source, "w") as file:
            file.write(PROGRAM)
        command = [compiler, "-O3", "-march=native", "-ffast-math", source, "-o", program, "-lfftw3f", "-lpthread", "-lm"]
        if subprocess.run(command).returncode != 0:
            sys.exit("fftw.py: pyfftw is missing and the C program does not compile. Run Scripts/peers/setup, or "
                     "apt-get install libfftw3-dev.")
        for b, h, length in wanted(arguments):
            block = row_blocks(h, arguments.threads, length)
            words = [program] + [str(n) for n in (b, h, length, arguments.threads, block, arguments.seconds)]
            run = subprocess.run(words, stdout=subprocess.PIPE, text=True)
            if run.returncode != 0:
                sys.exit(f"fftw.py: the C program gave {run.returncode} at L={length}: its results are wrong.")
            report(b, h, length, "FFTW", arguments.threads, float(run.stdout))


def wanted(arguments):
    return [s for s in SHAPES if arguments.only in f"B={s[0]} H={s[1]} L={s[2]}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5, help="time to spend on each shape")
    parser.add_argument("--only", default="", help="only shapes whose name contains this")
    parser.add_argument("--compile", action="store_true", help="the C program, even where there is pyfftw")
    arguments = parser.parse_args()
    try:
        import numpy
        import pyfftw
    except ImportError:
        return with_compiler(arguments)
    with_compiler(arguments) if arguments.compile else with_pyfftw(pyfftw, numpy, arguments)


main()
