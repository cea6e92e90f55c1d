// The block formats of GGUF, a group of 32 numbers at a time.
#include "internal.h"

static void nibbles(const uint8_t *qs, gw_block *out) {
  for (int i = 0; i < 16; i++) {
    out->q[i] = (int8_t)(qs[i] & 15);
    out->q[i + 16] = (int8_t)(qs[i] >> 4);
  }
}

static void fifth_bits(const uint8_t *qh, gw_block *out) {
  for (int i = 0; i < 32; i++) out->q[i] |= (int8_t)((qh[i / 8] >> (i % 8) & 1) << 4);
}

static void both(gw_block *out, float scale, float offset, int zero) {
  out->scale[0] = out->scale[1] = scale;
  out->offset[0] = out->offset[1] = offset;
  out->zero = zero;
}

// Q4_K and Q5_K: 8 groups of 32 with a 6-bit scale and minimum each, packed in 12 bytes.
static void super_45(const uint8_t *b, int group, int high_bits, gw_block *out) {
  const uint8_t *s = b + 4;
  int scale, minimum;
  if (group < 4) {
    scale = s[group] & 63;
    minimum = s[group + 4] & 63;
  } else {
    scale = (s[group + 4] & 15) | (s[group - 4] >> 6) << 4;
    minimum = s[group + 4] >> 4 | (s[group] >> 6) << 4;
  }
  const uint8_t *qs = b + (high_bits ? 48 : 16) + group / 2 * 32;
  for (int i = 0; i < 32; i++) {
    int q = group % 2 ? qs[i] >> 4 : qs[i] & 15;
    if (high_bits) q |= (b[16 + i] >> group & 1) << 4;
    out->q[i] = (int8_t)q;
  }
  both(out, gw_half(b) * (float)scale, -(gw_half(b + 2) * (float)minimum), 0);
}

// Q6_K: halves of 16 with an int8 scale each, zero point 32.
static void super_6(const uint8_t *b, int group, gw_block *out) {
  int half = group / 4, quarter = group % 4;
  const uint8_t *ql = b + half * 64 + (quarter % 2) * 32, *qh = b + 128 + half * 32;
  for (int i = 0; i < 32; i++) {
    int low = quarter < 2 ? ql[i] & 15 : ql[i] >> 4;
    out->q[i] = (int8_t)((low | (qh[i] >> (2 * quarter) & 3) << 4) - 32);
  }
  float d = gw_half(b + 208);
  for (int h = 0; h < 2; h++) {
    out->scale[h] = d * (float)(int8_t)b[192 + half * 8 + quarter * 2 + h];
    out->offset[h] = 0;
  }
  out->zero = 0;
}

void gw_unpack_block(gw_type type, const uint8_t *row, long group, gw_block *out) {
  const uint8_t *b = row + group * 32 / gw_block_elements(type) * gw_block_bytes(type);
  switch (type) {
    case GW_Q4_0:
      nibbles(b + 2, out);
      both(out, gw_half(b), 0, 8);
      break;
    case GW_Q4_1:
      nibbles(b + 4, out);
      both(out, gw_half(b), gw_half(b + 2), 0);
      break;
    case GW_Q5_0:
      nibbles(b + 6, out);
      fifth_bits(b + 2, out);
      both(out, gw_half(b), 0, 16);
      break;
    case GW_Q5_1:
      nibbles(b + 8, out);
      fifth_bits(b + 4, out);
      both(out, gw_half(b), gw_half(b + 2), 0);
      break;
    case GW_Q8_0:
      memcpy(out->q, b + 2, 32);
      both(out, gw_half(b), 0, 0);
      break;
    case GW_Q4_K: super_45(b, (int)(group % 8), 0, out); break;
    case GW_Q5_K: super_45(b, (int)(group % 8), 1, out); break;
    case GW_Q6_K: super_6(b, (int)(group % 8), out); break;
    default: memset(out, 0, sizeof *out);
  }
}
