/* Plain C for any processor; GCC and Clang map its vectors to what there is (SSE2, NEON). */
#include "engine.h"

#include <math.h>
#include <string.h>

#define TARGET
#define WIDTH 4
#define TILE_ROWS 4
#define TILE_COLUMNS 16
#define FLOAT_ROWS 4
#define TRANSPOSED 4
#define LEAF static inline
#define KEEP_POINTERS(a, b, c, d) (void)0

typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));
typedef uint32_t uvec __attribute__((vector_size(16)));
LEAF vec v_all(float x) { return (vec){x, x, x, x}; }
LEAF vec v_load(const float *p) {
  vec x;
  memcpy(&x, p, sizeof x);
  return x;
}
LEAF void v_store(float *p, vec x) { memcpy(p, &x, sizeof x); }
LEAF vec v_add(vec a, vec b) { return a + b; }
LEAF vec v_sub(vec a, vec b) { return a - b; }
LEAF vec v_mul(vec a, vec b) { return a * b; }
LEAF vec v_div(vec a, vec b) { return a / b; }
LEAF vec v_fma(vec a, vec b, vec c) { return a * b + c; }
LEAF vec v_neg_fma(vec a, vec b, vec c) { return c - a * b; }
LEAF vec v_choose(ivec which, vec a, vec b) {
  return (vec)((which & (ivec)a) | (~which & (ivec)b));
}
LEAF vec v_max(vec a, vec b) { return v_choose(a > b, a, b); }
LEAF vec v_min(vec a, vec b) { return v_choose(a < b, a, b); }
LEAF ivec v_to_int(vec x) { /* adding 1.5 * 2^23 leaves no room for a fraction */
  return (ivec)(x + v_all(12582912.f)) - (ivec)v_all(12582912.f);
}
LEAF vec v_power(vec shifted) { return (vec)((uvec)shifted << 23); }
LEAF vec v_from_int(const int32_t *p) {
  return (vec){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}
LEAF void v_to_int16(int16_t *p, vec x) {
  ivec whole = v_to_int(x);
  for (int i = 0; i < WIDTH; i++) p[i] = (int16_t)whole[i];
}
LEAF float v_sum(vec x) { return (x[0] + x[2]) + (x[1] + x[3]); }
LEAF float v_largest(vec x) { return fmaxf(fmaxf(x[0], x[2]), fmaxf(x[1], x[3])); }

/* The numbers of a pair, in memory's order. */
#define LOW_HALF(pairs) ((ivec)((uvec)(pairs) << 16) >> 16)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_OF(pairs) ((pairs) >> 16)
#define SECOND_OF(pairs) LOW_HALF(pairs)
#else
#define FIRST_OF(pairs) LOW_HALF(pairs)
#define SECOND_OF(pairs) ((pairs) >> 16)
#endif

LEAF void transpose_block(const float *from, ptrdiff_t ldf, int rows, float *to, ptrdiff_t ldt) {
  for (int i = 0; i < TRANSPOSED; i++)
    for (int j = 0; j < TRANSPOSED; j++) to[i * ldt + j] = j < rows ? from[j * ldf + i] : 0;
}

#include "float_kernels.h"
#include "products.h"

/* Two inputs times four outputs at a time. A weight's pair shares a 32-bit lane: its two
 * halves are taken apart once and used by every row. */
static void tile(const void *x, ptrdiff_t stride, const int32_t *own_x, const void *weight,
                 ptrdiff_t panel, const int32_t *own_weight, int inputs, int rows, int32_t *sums) {
  (void)panel, (void)own_x, (void)own_weight; /* a tile has the columns of one panel */
  for (int j = 0; j < TILE_COLUMNS; j += WIDTH) {
    const int16_t *w = (const int16_t *)weight + 2 * j;
    ivec sum[TILE_ROWS] = {{0}};
    for (int k = 0; k < inputs; k += 2, w += 2 * PANEL) {
      ivec pairs, first, second;
      memcpy(&pairs, w, sizeof pairs);
      first = FIRST_OF(pairs);
      second = SECOND_OF(pairs);
#pragma GCC unroll 4
      for (int r = 0; r < TILE_ROWS; r++) {
        const int16_t *row = (const int16_t *)x + (r < rows ? r : 0) * stride + k;
        sum[r] += first * row[0] + second * row[1];
      }
    }
    for (int r = 0; r < rows; r++) memcpy(sums + r * TILE_COLUMNS + j, &sum[r], sizeof sum[r]);
  }
}

PRODUCT(product, tile, 2, BLOCK)

const struct kernels portable_kernels = KERNELS("portable", PLAIN);
