// Speed of the microkernels on one core, a shape a line: minimum and median of the repetitions.
//
//   clang -O2 -I Sources/CMicrokernels/include Benchmarks/microkernels.c Sources/CMicrokernels/*.c -lm -o bench
//   ./bench [table, default 0: the best]
//
// The floor of a product is 32 float32 operations a cycle (two 8-lane fused multiply-adds); the floor of the
// one-row int8 product is a plain read of the same weights.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "microkernels.h"

enum { REPETITIONS = 15 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print(const char *title, double work, const char *unit, double *seconds) {
  qsort(seconds, REPETITIONS, sizeof *seconds, ascending);
  printf("%-44s %8.1f %8.1f %s\n", title, work / seconds[0], work / seconds[REPETITIONS / 2], unit);
}

static void *filled(size_t bytes) {
  uint8_t *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) exit(1);
  for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)(i * 2654435761u >> 13);
  return p;
}

static float *floats(size_t count) {
  float *p = filled(count * 4);
  for (size_t i = 0; i < count; i++) p[i] = (float)((i * 2654435761u >> 7) % 2048) / 1024 - 1;
  return p;
}

static void matmul_f32(const gw_microkernels *t, long m, long n, long k, int packed) {
  float *a = floats((size_t)(m * k)), *b = floats((size_t)((n + 15) / 16 * 16 * k)), *c = floats((size_t)(m * n));
  double seconds[REPETITIONS];
  long loops = 1 + (long)(4e8 / (2.0 * (double)(m * n * k)));
  for (int r = 0; r < REPETITIONS; r++) {
    double start = now();
    for (long i = 0; i < loops; i++)
      t->matmul_f32(m, n, k, a, k, 1, b, packed ? 16 : n, packed ? 16 * k : 16, c, n, 1);
    seconds[r] = (now() - start) / (double)loops;
  }
  char title[96];
  snprintf(title, sizeof title, "matmul_f32 %ldx%ldx%ld %s", m, n, k, packed ? "packed" : "row-major");
  print(title, 2e-9 * (double)(m * n * k), "GFLOP/s", seconds);
  free(a), free(b), free(c);
}

typedef struct {
  gw_type type;
  const char *name;
  long elements, bytes;
} format;

static const format formats[] = {
  {GW_Q4_0, "Q4_0", 32, 18},   {GW_Q4_1, "Q4_1", 32, 20},   {GW_Q5_0, "Q5_0", 32, 22},   {GW_Q5_1, "Q5_1", 32, 24},
  {GW_Q8_0, "Q8_0", 32, 34},   {GW_Q4_K, "Q4_K", 256, 144}, {GW_Q5_K, "Q5_K", 256, 176}, {GW_Q6_K, "Q6_K", 256, 210},
};

static void matmul_q8(const gw_microkernels *t, format f, long m, long n, long k) {
  long row = k / f.elements * f.bytes;
  uint8_t *w = filled((size_t)(n * row));
  float *x = floats((size_t)(m * k)), *c = floats((size_t)(m * n));
  uint8_t *q = filled((size_t)m * gw_q8_row_bytes(k)), *workspace = filled(gw_matmul_q8_workspace(k));
  t->quantize_rows(m, k, x, k, q, (ptrdiff_t)gw_q8_row_bytes(k));
  double seconds[REPETITIONS];
  long loops = 1 + (long)(4e8 / ((double)(m + 4) * (double)(n * k)));
  for (int r = 0; r < REPETITIONS; r++) {
    double start = now();
    for (long i = 0; i < loops; i++)
      t->matmul_q8(f.type, m, n, k, q, (ptrdiff_t)gw_q8_row_bytes(k), w, row, c, n, 0, workspace);
    seconds[r] = (now() - start) / (double)loops;
  }
  char title[96];
  snprintf(title, sizeof title, "matmul_q8 %s %ldx%ldx%ld", f.name, m, n, k);
  if (m == 1) print(title, 1e-9 * (double)(n * row), "GB/s of weights", seconds);
  else print(title, 1e-9 * (double)(m * n) * (double)k, "G multiply-adds/s", seconds);
  free(w), free(x), free(c), free(q), free(workspace);
}

static void plain_read(size_t bytes) {
  uint64_t *p = filled(bytes), sum = 0;
  double seconds[REPETITIONS];
  for (int r = 0; r < REPETITIONS; r++) {
    double start = now();
    for (size_t i = 0; i < bytes / 8; i++) sum += p[i];
    __asm__ volatile("" : : "r"(sum));
    seconds[r] = now() - start;
  }
  print("plain read of 100 MB", 1e-9 * (double)bytes, "GB/s", seconds);
  free(p);
}

static void conversions(const gw_microkernels *t, format f) {
  long n = 256, k = 1024, row = k / f.elements * f.bytes;
  uint8_t *w = filled((size_t)(n * row));
  float *out = floats((size_t)(n * k));
  double seconds[REPETITIONS];
  for (int r = 0; r < REPETITIONS; r++) {
    double start = now();
    t->pack_rows(f.type, n, k, w, row, out);
    seconds[r] = now() - start;
  }
  char title[96];
  snprintf(title, sizeof title, "pack_rows %s %ldx%ld", f.name, n, k);
  print(title, 1e-9 * (double)(n * k), "G numbers/s", seconds);
  free(w), free(out);
}

int main(int count, char **arguments) {
  const gw_microkernels *t = gw_microkernels_at(count > 1 ? atoi(arguments[1]) : 0);
  if (!t) return fprintf(stderr, "no such table\n"), 1;
  printf("table %s; best and median of %d\n", t->name, REPETITIONS);
  static const long shapes[][3] = {{48, 64, 64}, {96, 64, 64}, {96, 128, 128}, {192, 128, 256}, {47, 63, 64},
                                   {1, 64, 64},  {2, 64, 64},  {5, 64, 64}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int packed = 1; packed >= 0; packed--)
      matmul_f32(t, shapes[i][0], shapes[i][1], shapes[i][2], packed);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    for (long m = 16; m <= 64; m *= 4) matmul_q8(t, formats[i], m, 192, 1536);
  plain_read(100u << 20);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    matmul_q8(t, formats[i], 1, 100000000 * formats[i].elements / formats[i].bytes / 1536 / 16 * 16, 1536);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) conversions(t, formats[i]);
  const format halves = {GW_F16, "F16", 1, 2}, words = {GW_F32, "F32", 1, 4};
  conversions(t, halves), conversions(t, words);
  return 0;
}
