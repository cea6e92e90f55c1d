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

INLINE v8 clamp(v8 x, float low, float high) {
  x = select_v(splat(low) > x, splat(low), x);
  return select_v(splat(high) < x, splat(high), x);
}

// y = n + f with n whole in -126...128 and |f| <= 1/2; `sum` is y + 3 * 2^22, whose lowest bits are n. Returns
// 2^n (1 + ...) by the polynomial nearest to 2^f, within 2^-28.9 before rounding; 0 for n = -126.
INLINE v8 power(v8 sum, v8 f) {
  v8 p = splat(0x1.41fbbcp-12f);
  p = FMA(p, f, splat(0x1.5f3e52p-9f));
  p = FMA(p, f, splat(0x1.3b2d4cp-6f));
  p = FMA(p, f, splat(0x1.c6aee8p-4f));
  p = FMA(p, f, splat(0x1.ebfbdcp-2f));
  p = FMA(p, f, splat(0x1.62e430p+0f));
  p = FMA(p, f, splat(2));
  // The polynomial is twice what is wanted, so that 2^(n-1) is a number for every n.
  return p * (v8)(((i8v)sum + 126) << 23);
}

INLINE v8 exp2_v(v8 x) {
  v8 y = clamp(x, -126, 128);
  v8 sum = y + splat(0x1.8p23f);
  return power(sum, y - (sum - splat(0x1.8p23f)));
}

INLINE v8 exp_v(v8 x) {
  v8 y = clamp(x, -87.68f, 89);
  v8 sum = FMA(y, splat(0x1.715476p0f), splat(0x1.8p23f));
  // log2 e in two parts: the fused product with the first leaves only the second's to add.
  v8 f = FMA(y, splat(0x1.715476p0f), splat(0x1.8p23f) - sum);
  return power(sum, FMA(y, splat(0x1.4ae0bep-26f), f));
}

INLINE v8 with_sign_of(v8 magnitude, v8 x) {
  const i8v sign = (i8v)splat(-0.0f);
  return (v8)(((i8v)magnitude & ~sign) | ((i8v)x & sign));
}

// An odd polynomial where 1 - 2 / (exp(2x) + 1) would cancel. The coefficients of this and the next functions are our own
// least-squares fits, reweighted until the largest error was level: 2^-27 here.
INLINE v8 tanh_v(v8 x) {
  const v8 size = __builtin_elementwise_abs(x), z = x * x;
  v8 p = splat(-0x1.6a52eep-8f);
  p = FMA(p, z, splat(0x1.4f9936p-6f));
  p = FMA(p, z, splat(-0x1.b7da4ep-5f));
  p = FMA(p, z, splat(0x1.11044ep-3f));
  p = FMA(p, z, splat(-0x1.555526p-2f));
  const v8 large = splat(1) - splat(2) / (exp_v(size + size) + splat(1));
  return with_sign_of(select_v(size < splat(0.625f), FMA(size * z, p, size), large), x);
}

// Below 0.9 a polynomial (2^-31), beyond it 1 - exp(-x q(x)) with q nearest to -log(1 - erf x) / x.
INLINE v8 erf_v(v8 x) {
  const v8 size = clamp(__builtin_elementwise_abs(x), 0, 4), z = x * x;
  v8 p = splat(0x1.5e062cp-14f);
  p = FMA(p, z, splat(-0x1.aaa2d6p-11f));
  p = FMA(p, z, splat(0x1.54d42ap-8f));
  p = FMA(p, z, splat(-0x1.b80ff2p-6f));
  p = FMA(p, z, splat(0x1.ce2e1cp-4f));
  p = FMA(p, z, splat(-0x1.812744p-2f));
  p = FMA(p, z, splat(0x1.06eba8p-3f));
  v8 q = splat(0x1.71ae66p-18f);
  q = FMA(q, size, splat(-0x1.b8a93ap-15f));
  q = FMA(q, size, splat(-0x1.db938ap-17f));
  q = FMA(q, size, splat(0x1.733c2ap-9f));
  q = FMA(q, size, splat(-0x1.70e5c8p-6f));
  q = FMA(q, size, splat(0x1.ae8a5ap-4f));
  q = FMA(q, size, splat(0x1.457ad2p-1f));
  q = FMA(q, size, splat(0x1.20e7acp+0f));
  const v8 large = splat(1) - exp_v(-size * q);
  return with_sign_of(select_v(size < splat(0.9f), FMA(size, p, size), large), x);
}

// sin(x + shift * pi / 2): x less the nearest multiple of pi/2 goes to one of two polynomials. The first part of the multiple
// is taken off exactly; what the second loses in rounding (`rest`) is added behind the polynomials, as is what 1 - z / 2 loses.
// NaN from 2^22 multiples on, where the nearest one is no longer exact.
INLINE v8 sine_v(v8 x, int shift) {
  const v8 magic = splat(0x1.8p23f);
  const v8 sum = FMA(x, splat(0x1.45f306p-1f), magic);
  const v8 n = sum - magic;
  const v8 exact = FMA(-n, splat(0x1.921fb6p+0f), x);
  const v8 r = FMA(-n, splat(-0x1.777a5cp-25f), exact);
  const v8 rest = FMA(-n, splat(-0x1.ee59dap-50f), FMA(-n, splat(-0x1.777a5cp-25f), exact - r));
  const v8 z = r * r;
  v8 s = FMA(splat(-0x1.994a4cp-13f), z, splat(0x1.110754p-7f));
  s = r + FMA(FMA(s, z, splat(-0x1.555546p-3f)), r * z, rest);
  v8 c = FMA(splat(0x1.99fe66p-16f), z, splat(-0x1.6c0c7ep-10f));
  const v8 top = FMA(splat(-0.5f), z, splat(1));
  const v8 lost = FMA(splat(-0.5f), z, splat(1) - top);
  c = top + FMA(FMA(c, z, splat(0x1.55554ap-5f)), z * z, FMA(-r, rest, lost));
  const i8v quarter = (i8v)sum + shift;
  const v8 value = select_v((quarter & 1) != 0, c, s);
  const v8 result = (v8)((i8v)value ^ ((quarter & 2) << 30));
  return select_v(__builtin_elementwise_abs(n) < splat(0x1p22f), result, splat(__builtin_nanf("")));
}

// The angle of (x, y): the arc tangent of the smaller side over the larger by a polynomial (2^-26), then the octant.
INLINE v8 atan2_v(v8 y, v8 x) {
  const v8 across = __builtin_elementwise_abs(x), up = __builtin_elementwise_abs(y);
  const i8v steep = up > across;
  const v8 large = select_v(steep, up, across);
  const v8 t = select_v(large == splat(0), splat(0), select_v(steep, across, up) / large), z = t * t;
  v8 p = splat(0x1.85e11ap-9f);
  p = FMA(p, z, splat(-0x1.0fa9bep-6f));
  p = FMA(p, z, splat(0x1.64c9c4p-5f));
  p = FMA(p, z, splat(-0x1.367fdcp-4f));
  p = FMA(p, z, splat(0x1.b568b0p-4f));
  p = FMA(p, z, splat(-0x1.231b60p-3f));
  p = FMA(p, z, splat(0x1.997adcp-3f));
  p = FMA(p, z, splat(-0x1.5554e6p-2f));
  v8 angle = FMA(t * z, p, t);
  angle = select_v(steep, (splat(0x1.921fb6p+0f) - angle) + splat(-0x1.777a5cp-25f), angle);
  angle = select_v((i8v)x < 0, (splat(0x1.921fb6p+1f) - angle) + splat(-0x1.777a5cp-24f), angle);
  return with_sign_of(angle, y);
}

INLINE v8 min_v(v8 a, v8 b) { return select_v((a < b) | (a != a), a, b); }
INLINE v8 max_v(v8 a, v8 b) { return select_v((a > b) | (a != a), a, b); }

// The first, third and so on: members of interleaved pairs. What lies behind the last is not read.
INLINE void load_every_other(v8 *d, const float *at, long count) {
  float *to = (float *)d;
  long i = 0;
  for (; i + LANES < count; i += LANES) {
    const v8 a = *(const v8 *)(at + 2 * i), b = *(const v8 *)(at + 2 * i + LANES);
    d[i / LANES] = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  }
  for (; i < count; i++) to[i] = at[2 * i];
}

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
    for (long i = 0; i < full; i++) d[i] = ((const v8 *)at)[i];
    if (count % LANES) {
      v8 rest = splat(0);
      for (long l = 0; l < count % LANES; l++) rest[l] = ((const float *)at)[full * LANES + l];
      d[full] = rest;
    }
  } else {
    if (o->column_stride == 1) TO_FLOAT(o->type, count, at, to);
    else if (o->type == GW_F32 && o->column_stride == 2) load_every_other(d, (const float *)at, count);
    else if (o->type == GW_F32)
      for (long i = 0; i < count; i++) to[i] = ((const float *)at)[i * o->column_stride];
    else
      for (long i = 0; i < count; i++) TO_FLOAT(o->type, 1, at + i * o->column_stride * size, to + i);
    for (long i = count; i < vectors * LANES; i++) to[i] = 0;
  }
}

INLINE void store(const v8 *a, const gw_operand *o, long row, long column, long count) {
  const long size = o->type == GW_F32 || o->type == GW_I32 ? 4 : o->type == GW_I8 ? 1 : 2;
  char *at = (char *)o->base + (row * o->row_stride + column * o->column_stride) * size;
  const float *from = (const float *)a;
  if (o->type == GW_F32 && (o->column_stride == 1 || count == 1)) {
    const long full = count / LANES;
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

// Four words of Philox4x32-10 as numbers in 0 ..< 1, for the columns from 4 * group on.
INLINE void random4(float *d, const gw_operand *o, long row, long group) {
  const uint32_t first = (uint32_t) * (const int32_t *)o[2].base;
  uint32_t x0 = (uint32_t)group, x1 = first + (uint32_t)row, x2 = (uint32_t) * (const int32_t *)o[1].base, x3 = 0;
  uint32_t k0 = (uint32_t) * (const int32_t *)o[0].base, k1 = 0;
  for (int round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t)x0 * 0xD2511F53u, b = (uint64_t)x2 * 0xCD9E8D57u;
    x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
    x1 = (uint32_t)b;
    x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
    x3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  d[0] = (float)(x0 >> 8) * 0x1p-24f;
  d[1] = (float)(x1 >> 8) * 0x1p-24f;
  d[2] = (float)(x2 >> 8) * 0x1p-24f;
  d[3] = (float)(x3 >> 8) * 0x1p-24f;
}

// Sum or maximum of the first `count` numbers: lanes first, then a fixed tree across them. A NaN makes either NaN.
INLINE float combine(const v8 *a, long count, int is_max) {
  const float identity = is_max ? -__builtin_inff() : 0.0f;
  v8 total = splat(identity), rest = splat(identity);
  i8v odd = {0};
  const long full = count / LANES;
  for (long l = 0; l < count % LANES; l++) rest[l] = a[full][l];
  for (long i = 0; i < full + (count % LANES > 0); i++) {
    v8 x = i < full ? a[i] : rest;
    if (is_max) odd |= x != x;
    total = is_max ? select_v(x > total, x, total) : total + x;
  }
  if (is_max) total = (v8)((i8v)total | odd);
  for (int width = 4; width; width /= 2) {
    v8 other = width == 4   ? __builtin_shufflevector(total, total, 4, 5, 6, 7, 0, 1, 2, 3)
               : width == 2 ? __builtin_shufflevector(total, total, 2, 3, 0, 1, 6, 7, 4, 5)
                            : __builtin_shufflevector(total, total, 1, 0, 3, 2, 5, 4, 7, 6);
    total = is_max ? max_v(total, other) : total + other;
  }
  return total[0];
}

// An operation with its registers and operand looked up.
typedef struct {
  v8 *d;
  const v8 *a, *b, *c, *e;
  const gw_operand *operand;
  int op;
  float imm;
} resolved;

INLINE void reduce(const resolved *s, long row, long column, long count) {
  const int is_max = s->op == GW_ROW_MAX;
  float *at = (float *)s->operand->base + row * s->operand->row_stride;
  float part = is_max ? combine(s->a, count, 1) : combine(s->a, count, 0);
  float before = column > 0 || s->imm != 0 ? *at : is_max ? -__builtin_inff() : 0;
  *at = !is_max ? before + part : before > part || before != before ? before : part;
}

// Runs one operation on `vectors` vectors, of whose numbers `count` are wanted.
#define EACH(expression)                                                                                           \
  for (int i = 0; i < vectors; i++) d[i] = (expression);                                                           \
  break
#define LANEWISE(function)                                                                                         \
  for (int i = 0; i < vectors; i++)                                                                                \
    for (int l = 0; l < LANES; l++) d[i][l] = function(a[i][l]);                                                   \
  break

INLINE void step(const resolved *s, long row, long column, const int vectors, const long count) {
  v8 *d = s->d;
  const v8 *a = s->a, *b = s->b, *c = s->c, *e = s->e;
  switch (s->op) {
    case GW_LOAD: load(d, s->operand, row, column, count); break;
    case GW_CONST: EACH(splat(s->imm));
    case GW_COLUMN: EACH(splat((float)(column + i * LANES)) + ((v8){0, 1, 2, 3, 4, 5, 6, 7}));
    case GW_ROW: EACH(splat((float)row));
    case GW_RANDOM:
      for (int i = 0; i < 2 * vectors; i++) random4((float *)d + 4 * i, s->operand, row, column / 4 + i);
      break;
    case GW_STORE: store(a, s->operand, row, column, count); break;
    case GW_ROW_SUM:
    case GW_ROW_MAX: reduce(s, row, column, count); break;
    case GW_ADD: EACH(a[i] + b[i]);
    case GW_SUB: EACH(a[i] - b[i]);
    case GW_MUL: EACH(a[i] * b[i]);
    case GW_DIV: EACH(a[i] / b[i]);
    case GW_MIN: EACH(min_v(a[i], b[i]));
    case GW_MAX: EACH(max_v(a[i], b[i]));
    case GW_FMA: EACH(FMA(a[i], b[i], c[i]));
    case GW_SELECT_GE: EACH(select_v(a[i] >= b[i], c[i], e[i]));
    case GW_NEG: EACH(-a[i]);
    case GW_ABS: EACH(__builtin_elementwise_abs(a[i]));
    case GW_SQRT: EACH(__builtin_elementwise_sqrt(a[i]));
    case GW_RSQRT: EACH(splat(1) / __builtin_elementwise_sqrt(a[i]));
    case GW_RECIP: EACH(splat(1) / a[i]);
    case GW_EXP: EACH(exp_v(a[i]));
    case GW_EXP2: EACH(exp2_v(a[i]));
    case GW_SIGMOID: EACH(splat(1) / (splat(1) + exp_v(-a[i])));
    case GW_LOG: LANEWISE(logf);
    case GW_TANH: EACH(tanh_v(a[i]));
    case GW_ERF: EACH(erf_v(a[i]));
    case GW_SIN: EACH(sine_v(a[i], 0));
    case GW_COS: EACH(sine_v(a[i], 1));
    case GW_ATAN2: EACH(atan2_v(a[i], b[i]));
    default: break;
  }
}

// Looks up what each operation names. Constants whose register nothing else writes are set here, once, and left out.
static long resolve(const gw_map_op *ops, long op_count, const gw_operand *operands, v8 r[REGISTERS][VECTORS],
                    resolved *steps) {
  long count = 0;
  int writes[REGISTERS] = {0};
  for (long i = 0; i < op_count; i++)
    if (ops[i].op != GW_STORE && ops[i].op != GW_ROW_SUM && ops[i].op != GW_ROW_MAX) writes[ops[i].dst & 15]++;
  for (long i = 0; i < op_count; i++) {
    const gw_map_op *op = ops + i;
    v8 *d = r[op->dst & 15];
    if (op->op == GW_CONST && writes[op->dst & 15] == 1) {
      for (int v = 0; v < VECTORS; v++) d[v] = splat(op->imm);
      continue;
    }
    steps[count++] = (resolved){.d = d, .a = r[op->a & 15], .b = r[op->b & 15], .c = r[op->c & 15],
                                .e = r[op->operand & 15], .operand = operands + op->operand, .op = op->op,
                                .imm = op->imm};
  }
  return count;
}

void JOIN(gw_map_, SUFFIX)(const gw_map_op *ops, long op_count, const gw_operand *operands, long rows,
                           long columns) {
  v8 registers[REGISTERS][VECTORS] __attribute__((aligned(32)));
  resolved steps[op_count > 0 ? op_count : 1];
  const long count = resolve(ops, op_count, operands, registers, steps);
  for (long row = 0; row < rows; row++) {
    long column = 0;
    for (; column + STRIP <= columns; column += STRIP)
      for (long i = 0; i < count; i++) step(steps + i, row, column, VECTORS, STRIP);
    if (column + STRIP / 2 <= columns) {
      for (long i = 0; i < count; i++) step(steps + i, row, column, VECTORS / 2, STRIP / 2);
      column += STRIP / 2;
    }
    for (; column < columns; column += LANES) {
      const long rest = columns - column < LANES ? columns - column : LANES;
      for (long i = 0; i < count; i++) step(steps + i, row, column, 1, rest);
    }
    for (long i = 0; i < op_count && columns <= 0; i++)
      if ((ops[i].op == GW_ROW_SUM || ops[i].op == GW_ROW_MAX) && ops[i].imm == 0)
        ((float *)operands[ops[i].operand].base)[row * operands[ops[i].operand].row_stride] =
            ops[i].op == GW_ROW_SUM ? 0 : -__builtin_inff();
  }
}
