// Elementwise programs over strips of 64 numbers, written once over vectors of 8 and compiled for each instruction set.
//
// The including file defines SUFFIX (the table's name), TO_FLOAT and FROM_FLOAT. Every form does the same IEEE
// operations in the same order, so results agree bit for bit.
#include "internal.h"

// Every function that passes a vector is inlined, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t i8v __attribute__((vector_size(32), aligned(4)));

#define INLINE static inline __attribute__((always_inline))
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))

enum { LANES = 8, STRIP = 64, VECTORS = STRIP / LANES, REGISTERS = 16 };

INLINE v8 splat(float x) { return (v8){x, x, x, x, x, x, x, x}; }
INLINE v8 select_v(i8v mask, v8 a, v8 b) { return (v8)(((i8v)a & mask) | ((i8v)b & ~mask)); }

// 2^n as a product of two factors, each a normal number for |n| <= 252.
INLINE v8 scale_by_power(v8 x, i8v n) {
  i8v half = n >> 1;
  v8 a = (v8)((half + 127) << 23), b = (v8)((n - half + 127) << 23);
  return x * a * b;
}

// e^r for |r| <= ln 2 / 2, by its series: the first term left out is below 2^-27.
INLINE v8 exp_series(v8 r) {
  v8 p = splat(1.0f / 5040);
  p = FMA(p, r, splat(1.0f / 720));
  p = FMA(p, r, splat(1.0f / 120));
  p = FMA(p, r, splat(1.0f / 24));
  p = FMA(p, r, splat(1.0f / 6));
  p = FMA(p, r, splat(0.5f));
  p = FMA(p, r, splat(1));
  return FMA(p, r, splat(1));
}

// n + r = x with n whole; x must lie within +-2^21.
INLINE v8 nearest(v8 x) {
  v8 magic = splat(0x1.8p23f);
  return (x + magic) - magic;
}

INLINE v8 clamp(v8 x, float low, float high) {
  x = select_v(x < splat(low), splat(low), x);
  return select_v(x > splat(high), splat(high), x);
}

INLINE v8 exp_v(v8 x) {
  v8 y = clamp(x, -104, 89);  // beyond, the result is 0 or infinity all the same
  v8 n = nearest(y * splat(0x1.715476p0f));
  // ln 2 in two parts: the first has few enough bits that n times it is exact.
  v8 r = FMA(n, splat(-0x1.62e400p-1f), y);
  r = FMA(n, splat(-0x1.7f7d1cp-20f), r);
  v8 result = scale_by_power(exp_series(r), __builtin_convertvector(n, i8v));
  return select_v(x != x, x, result);
}

INLINE v8 exp2_v(v8 x) {
  v8 y = clamp(x, -151, 129);
  v8 n = nearest(y);
  v8 result = scale_by_power(exp_series((y - n) * splat(0x1.62e430p-1f)), __builtin_convertvector(n, i8v));
  return select_v(x != x, x, result);
}

INLINE v8 min_v(v8 a, v8 b) { return select_v((a < b) | (a != a), a, b); }
INLINE v8 max_v(v8 a, v8 b) { return select_v((a > b) | (a != a), a, b); }

#define EACH(expression)                                                                                           \
  for (int i = 0; i < vectors; i++) {                                                                              \
    d[i] = (expression);                                                                                           \
  }                                                                                                                \
  break
#define LANEWISE(function)                                                                                         \
  for (int i = 0; i < vectors; i++)                                                                                \
    for (int l = 0; l < LANES; l++) d[i][l] = function(a[i][l]);                                                   \
  break

// `count` numbers from an operand into a register; lanes past them are zero.
INLINE void load(v8 *d, const gw_operand *o, long row, long column, long count) {
  const long size = o->type == GW_F32 || o->type == GW_I32 ? 4 : o->type == GW_I8 ? 1 : 2;
  const char *at = (const char *)o->base + (row * o->row_stride + column * o->column_stride) * size;
  float *to = (float *)d;
  const int vectors = (int)((count + LANES - 1) / LANES);
  if (o->column_stride == 0) {
    float value;
    if (o->type == GW_F32) memcpy(&value, at, 4);
    else TO_FLOAT(o->type, 1, at, &value);
    for (int i = 0; i < vectors; i++) d[i] = splat(value);
  } else if (o->column_stride == 1 && o->type == GW_F32) {
    const long full = count / LANES;
    if (count == STRIP)
      for (int i = 0; i < VECTORS; i++) d[i] = ((const v8 *)at)[i];
    else
      for (long i = 0; i < full; i++) d[i] = ((const v8 *)at)[i];
    if (count % LANES) {
      v8 rest = splat(0);
      for (long l = 0; l < count % LANES; l++) rest[l] = ((const float *)at)[full * LANES + l];
      d[full] = rest;
    }
  } else {
    if (o->column_stride == 1) TO_FLOAT(o->type, count, at, to);
    else
      for (long i = 0; i < count; i++) TO_FLOAT(o->type, 1, at + i * o->column_stride * size, to + i);
    for (long i = count; i < vectors * LANES; i++) to[i] = 0;
  }
}

INLINE void store(const v8 *a, const gw_operand *o, long row, long column, long count) {
  const long size = o->type == GW_F32 ? 4 : o->type == GW_I8 ? 1 : 2;
  char *at = (char *)o->base + (row * o->row_stride + column * o->column_stride) * size;
  const float *from = (const float *)a;
  if (o->type == GW_F32 && (o->column_stride == 1 || count == 1)) {
    const long full = count / LANES;
    if (count == STRIP)
      for (int i = 0; i < VECTORS; i++) ((v8 *)at)[i] = a[i];
    else
      for (long i = 0; i < full; i++) ((v8 *)at)[i] = a[i];
    for (long i = full * LANES; i < count; i++) ((float *)at)[i] = from[i];
  } else if (o->type == GW_F32) {
    for (long i = 0; i < count; i++) ((float *)at)[i * o->column_stride] = from[i];
  } else if (o->column_stride == 1) {
    FROM_FLOAT(o->type, count, from, at);
  } else {
    for (long i = 0; i < count; i++) FROM_FLOAT(o->type, 1, from + i, at + i * o->column_stride * size);
  }
}

// Sum or maximum of the first `count` numbers: lanes first, then a fixed tree across them.
INLINE float combine(const v8 *a, long count, int is_max) {
  v8 total = splat(is_max ? -__builtin_inff() : 0.0f);
  long full = count / LANES;
  for (long i = 0; i < full; i++) total = is_max ? max_v(total, a[i]) : total + a[i];
  if (count % LANES) {
    v8 rest = splat(is_max ? -__builtin_inff() : 0.0f);
    for (long l = 0; l < count % LANES; l++) rest[l] = a[full][l];
    total = is_max ? max_v(total, rest) : total + rest;
  }
  float t[8];
  memcpy(t, &total, sizeof t);
  for (int width = 4; width; width /= 2)
    for (int l = 0; l < width; l++) {
      float x = t[l], y = t[l + width];
      t[l] = is_max ? (x > y || x != x ? x : y) : x + y;
    }
  return t[0];
}

INLINE void reduce(const gw_map_op *op, const v8 *a, const gw_operand *o, long row, long column, long count) {
  float *at = (float *)o->base + row * o->row_stride, part = combine(a, count, op->op == GW_ROW_MAX);
  float before = column > 0 || op->imm != 0 ? *at : op->op == GW_ROW_MAX ? -__builtin_inff() : 0;
  *at = op->op == GW_ROW_SUM ? before + part : before > part || before != before ? before : part;
}

INLINE void step(const gw_map_op *op, v8 r[REGISTERS][VECTORS], const gw_operand *operands, long row, long column,
                 long count) {
  v8 *d = r[op->dst & 15];
  const v8 *a = r[op->a & 15], *b = r[op->b & 15], *c = r[op->c & 15];
  const int vectors = (int)((count + LANES - 1) / LANES);
  switch (op->op) {
    case GW_LOAD: load(d, operands + op->operand, row, column, count); break;
    case GW_CONST: EACH(splat(op->imm));
    case GW_COLUMN: EACH(splat((float)(column + i * LANES)) + ((v8){0, 1, 2, 3, 4, 5, 6, 7}));
    case GW_ROW: EACH(splat((float)row));
    case GW_STORE: store(a, operands + op->operand, row, column, count); break;
    case GW_ROW_SUM:
    case GW_ROW_MAX: reduce(op, a, operands + op->operand, row, column, count); break;
    case GW_ADD: EACH(a[i] + b[i]);
    case GW_SUB: EACH(a[i] - b[i]);
    case GW_MUL: EACH(a[i] * b[i]);
    case GW_DIV: EACH(a[i] / b[i]);
    case GW_MIN: EACH(min_v(a[i], b[i]));
    case GW_MAX: EACH(max_v(a[i], b[i]));
    case GW_FMA: EACH(FMA(a[i], b[i], c[i]));
    case GW_SELECT_GE: EACH(select_v(a[i] >= b[i], c[i], r[op->operand & 15][i]));
    case GW_NEG: EACH(-a[i]);
    case GW_ABS: EACH(__builtin_elementwise_abs(a[i]));
    case GW_SQRT: EACH(__builtin_elementwise_sqrt(a[i]));
    case GW_RSQRT: EACH(splat(1) / __builtin_elementwise_sqrt(a[i]));
    case GW_RECIP: EACH(splat(1) / a[i]);
    case GW_EXP: EACH(exp_v(a[i]));
    case GW_EXP2: EACH(exp2_v(a[i]));
    case GW_SIGMOID: EACH(splat(1) / (splat(1) + exp_v(-a[i])));
    case GW_LOG: LANEWISE(logf);
    case GW_TANH: LANEWISE(tanhf);
    case GW_ERF: LANEWISE(erff);
    default: break;
  }
}

void JOIN(gw_map_, SUFFIX)(const gw_map_op *ops, long op_count, const gw_operand *operands, long rows,
                           long columns) {
  v8 registers[REGISTERS][VECTORS] __attribute__((aligned(32)));
  for (long row = 0; row < rows; row++) {
    for (long column = 0; column < columns; column += STRIP) {
      long count = columns - column < STRIP ? columns - column : STRIP;
      for (long i = 0; i < op_count; i++) step(ops + i, registers, operands, row, column, count);
    }
    for (long i = 0; i < op_count && columns <= 0; i++)
      if ((ops[i].op == GW_ROW_SUM || ops[i].op == GW_ROW_MAX) && ops[i].imm == 0)
        ((float *)operands[ops[i].operand].base)[row * operands[ops[i].operand].row_stride] =
            ops[i].op == GW_ROW_SUM ? 0 : -__builtin_inff();
  }
}
