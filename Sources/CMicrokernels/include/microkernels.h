// SIMD routines of the CPU back end: pointers and counts in, no state, no allocation.
//
// Every routine exists in a portable form and may exist in forms for an instruction set; `gw_microkernels_at` lists
// the tables that this processor can run, best first. All forms of one routine do the same arithmetic in the same
// order wherever this header promises an order.
#ifndef GODWIT_MICROKERNELS_H
#define GODWIT_MICROKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Element types, with the block layouts of GGUF.
typedef enum {
  GW_F32 = 0,
  GW_F16 = 1,
  GW_BF16 = 2,
  GW_I8 = 3,
  GW_I32 = 4,
  GW_Q4_0 = 5,
  GW_Q4_1 = 6,
  GW_Q5_0 = 7,
  GW_Q5_1 = 8,
  GW_Q8_0 = 9,
  GW_Q4_K = 10,
  GW_Q5_K = 11,
  GW_Q6_K = 12,
} gw_type;

// One step of an elementwise program over strips of a row. `dst`, `a`, `b`, `c` name strip registers 0..15;
// `operand` names an entry of the operand list.
typedef enum {
  GW_LOAD = 0,        // dst <- operand[row, col], converted to float
  GW_CONST = 1,       // dst <- imm
  GW_COLUMN = 2,      // dst <- (float)col
  GW_ROW = 3,         // dst <- (float)row
  GW_STORE = 4,       // operand[row, col] <- a, converted; int8 rounds to nearest even and saturates to -127..127
  GW_ROW_SUM = 5,     // operand[row] <- (imm != 0 ? operand[row] : 0) + sum over the row's columns of a
  GW_ROW_MAX = 6,     // operand[row] <- max(imm != 0 ? operand[row] : -inf, max over the row's columns of a)
  GW_RANDOM = 7,      // dst <- uniform in 0 ..< 1 at (row, col) by Philox4x32-10: three int32 operands from `operand` on
                      // are the seed, the stream and the row of row 0
  GW_ADD = 16,        // dst <- a + b
  GW_SUB = 17,
  GW_MUL = 18,
  GW_DIV = 19,
  GW_MIN = 20,
  GW_MAX = 21,
  GW_FMA = 22,        // dst <- fma(a, b, c)
  GW_SELECT_GE = 23,  // dst <- a >= b ? c : register number in `operand`
  GW_NEG = 32,
  GW_ABS = 33,
  GW_SQRT = 34,
  GW_RSQRT = 35,      // 1 / sqrt(a), correctly rounded steps (no approximation instruction)
  GW_RECIP = 36,      // 1 / a
  GW_EXP = 37,        // 2 ulp at most; results below 2^-125 may be 0; NaN stays NaN
  GW_EXP2 = 38,
  GW_LOG = 39,
  GW_TANH = 40,
  GW_ERF = 41,
  GW_SIGMOID = 42,
  GW_SIN = 43,
  GW_COS = 44,
  GW_ATAN2 = 45,
} gw_map_opcode;

typedef struct {
  uint16_t op;
  uint16_t dst, a, b, c;
  uint16_t operand;
  float imm;
} gw_map_op;

// Where an operand's elements lie. Strides count elements; a column stride of 0 broadcasts along the row, a row stride
// of 0 along the rows. Reductions use `row_stride` only and are float32.
typedef struct {
  void *base;
  ptrdiff_t row_stride;
  ptrdiff_t column_stride;
  int32_t type;  // gw_type, scalars only
} gw_operand;

typedef struct {
  const char *name;  // "portable", "avx2"

  // C = (accumulate ? C : 0) + A B in float32. Each element is one chain of fused multiply-adds in order of k that
  // starts from C or 0, whatever m and n are.
  //   A(i, p) at a[i * a_row + p * a_column]
  //   B(p, j) at b[(j / 16) * b_panel + p * b_row + j % 16]   (row-major: b_panel = 16, b_row = leading dimension)
  //   C(i, j) at c[i * c_row + j]
  // Nothing outside the m x k, k x n and m x n elements is read or written.
  void (*matmul_f32)(long m, long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column, const float *b,
                     ptrdiff_t b_row, ptrdiff_t b_panel, float *c, ptrdiff_t c_row, int accumulate);

  // The same with W's n rows of k contiguous numbers of F32, F16 or BF16 (B = W transposed) as they lie, for few rows of A.
  void (*matmul_rows)(gw_type type, long m, long n, long k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,
                      const void *w, ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate);

  // Panels of 16 columns from the n rows of k numbers of W (B = W transposed): dst[(j / 16) * 16 * k + p * 16 + j % 16]
  // = float(W(j, p)); lanes past n are zero. Any type but I32. src advances src_row_bytes a row.
  void (*pack_rows)(gw_type type, long n, long k, const void *src, ptrdiff_t src_row_bytes, float *dst);

  // The same panels from k rows of n contiguous scalars (B itself). Any type but I32 and blocks.
  void (*pack_columns)(gw_type type, long k, long n, const void *src, ptrdiff_t src_row_bytes, float *dst);

  // count numbers (whole blocks) as float32. Any type.
  void (*to_float)(gw_type type, long count, const void *src, float *dst);

  // count float32 rounded to F32, F16, BF16, I8 or I32 (nearest even, NaN as integer 0).
  void (*from_float)(gw_type type, long count, const float *src, void *dst);

  // Each of m rows of k float32 (k a multiple of 32) as 16-bit integers in groups of 32: scale = max|x| / 32767,
  // q = x / scale to the nearest even, all 0 where max|x| < 2^-100. A row in dst is gw_q16_row_bytes(k) bytes: k int16
  // with the middle two of each four exchanged (gw_pair_order), k / 32 scales, and for each group scale * sum(q), both
  // float32.
  void (*quantize_rows)(long m, long k, const float *x, ptrdiff_t x_row, void *dst, ptrdiff_t dst_row_bytes);

  // C = (accumulate ? C : 0) + X Wᵀ with X quantised as above (m rows) and W n rows of k block-quantised numbers.
  // For 32 numbers after 32 in order of k (for Q6_K, 16 after 16): acc = fma(scaleW * scaleX, (float)dot, acc); then,
  // except for Q8_0 and Q6_K, which have no offset, acc = fma(offsetW, scaleX * sum X, acc), where the offset of Q4_0
  // and Q5_0 is their zero point times the scale. An element's arithmetic does not depend on m or n.
  // workspace: gw_matmul_q16_workspace bytes, 64-aligned.
  // Types: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
  void (*matmul_q16)(gw_type type, long m, long n, long k, const void *x, ptrdiff_t x_row_bytes, const void *w,
                    ptrdiff_t w_row_bytes, float *c, ptrdiff_t c_row, int accumulate, void *workspace);

  // Runs the elementwise program on rows x columns elements, a row at a time in strips. Reductions combine a row's
  // columns in an order that depends on nothing but the number of columns.
  void (*map)(const gw_map_op *ops, long op_count, const gw_operand *operands, long rows, long columns);
} gw_microkernels;

// The tables this processor can run, best first; NULL past the last. The last one is "portable".
const gw_microkernels *gw_microkernels_at(int index);

static inline size_t gw_q16_row_bytes(long k) { return (size_t)(k / 32) * 72; }

// Where number i of a row lies among its integers.
static inline long gw_pair_order(long i) { return i - i % 4 + i % 2 * 2 + i % 4 / 2; }
size_t gw_matmul_q16_workspace(long k);

// C += A element by element, rows x columns float32 with any strides. Other threads may add to the same elements at the
// same time: none of their sums is lost, their order is open.
void gw_add_shared(long rows, long columns, const float *a, ptrdiff_t a_row, ptrdiff_t a_column, float *c,
                   ptrdiff_t c_row, ptrdiff_t c_column);

// The same into integers, which take the nearest whole numbers, ties to even, NaN as 0; sums wrap round.
void gw_add_shared_rounded(long rows, long columns, const float *a, ptrdiff_t a_row, ptrdiff_t a_column, int32_t *c,
                           ptrdiff_t c_row, ptrdiff_t c_column);

// Tells the core that the thread is waiting in a loop.
static inline void gw_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
