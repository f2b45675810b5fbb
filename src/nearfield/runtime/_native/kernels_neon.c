/* arm64: 4 floats, or 8 products of 16-bit numbers, at a time; and with dot products (sdot) 16 of
 * 8-bit ones, for those who ask for them.
 */
#include "engine.h"
#ifdef HAVE_NEON_KERNELS
#include <arm_neon.h>

#define TARGET
#define WIDTH 4
#define TILE_ROWS 8
#define TILE_COLUMNS 16
#define FLOAT_ROWS 8
#define TRANSPOSED 4
#define LEAF TARGET static inline __attribute__((always_inline))
/* Without this the compiler steps a pointer for every row. */
#define KEEP_POINTERS(a, b, c, d) __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))

typedef float32x4_t vec;
LEAF vec v_all(float x) { return vdupq_n_f32(x); }
LEAF vec v_load(const float *p) { return vld1q_f32(p); }
LEAF void v_store(float *p, vec x) { vst1q_f32(p, x); }
LEAF vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
LEAF vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
LEAF vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
LEAF vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
LEAF vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
LEAF vec v_neg_fma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
LEAF vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
LEAF vec v_min(vec a, vec b) { return vminq_f32(a, b); }
LEAF vec v_power(vec shifted) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23));
}
LEAF vec v_from_int(const int32_t *p) { return vcvtq_f32_s32(vld1q_s32(p)); }
LEAF int16x4_t v_whole(vec x) { return vqmovn_s32(vcvtnq_s32_f32(x)); }
LEAF void v_to_int16(int16_t *p, vec x) { vst1_s16(p, v_whole(x)); }
LEAF void v_to_32_bytes(char *p, const float *x, vec by, int zero) {
#pragma GCC unroll 4
  for (int i = 0; i < 32; i += 2 * WIDTH) {
    int16x4_t low = v_whole(v_mul(v_load(x + i), by));
    int16x4_t high = v_whole(v_mul(v_load(x + i + WIDTH), by));
    int8x8_t packed = vqmovn_s16(vcombine_s16(low, high));
    vst1_s8((int8_t *)p + i, vadd_s8(packed, vdup_n_s8((int8_t)zero)));
  }
}
LEAF float v_sum(vec x) { return vaddvq_f32(x); }
LEAF float v_largest(vec x) { return vmaxvq_f32(x); }

/* 4 x 4 floats, rows to columns; of the rows only the first `rows` are read. */
LEAF void transpose_block(const float *from, ptrdiff_t ldf, int rows, float *to, ptrdiff_t ldt) {
  vec a[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) a[i] = i < rows ? v_load(from + i * ldf) : v_all(0);
  vec b0 = vzip1q_f32(a[0], a[2]), b1 = vzip1q_f32(a[1], a[3]);
  vec b2 = vzip2q_f32(a[0], a[2]), b3 = vzip2q_f32(a[1], a[3]);
  v_store(to, vzip1q_f32(b0, b1));
  v_store(to + ldt, vzip2q_f32(b0, b1));
  v_store(to + 2 * ldt, vzip1q_f32(b2, b3));
  v_store(to + 3 * ldt, vzip2q_f32(b2, b3));
}

#ifdef HAVE_DOTPROD_KERNELS
#define ZERO_OF_X 0 /* of the products of 8 bits: both factors have a sign */
#endif
#include "float_kernels.h"
#include "products.h"

/* Half a panel, 8 columns, at a time: 16 sums, a vector of activations for each of 8 rows and 2 of
 * weights, 26 of 32 registers. A step takes 4 of the 16 bytes of every row, and their weights.
 * Rows lie s bytes apart. Sums have names, not places in an array: so they stay in registers. */
#define EACH(X, p) X(0, p) X(1, p) X(2, p) X(3, p) X(4, p) X(5, p) X(6, p) X(7, p)
#define ZERO(r, _) int32x4_t a##r = vdupq_n_s32(0), b##r = a##r;
#define READ(r, k) int8x16_t v##r = vld1q_s8(rows > r ? x + r * s + k : x);
#define SAVE(r, columns) \
  if (rows > r) vst1q_s32(sums + r * columns, a##r), vst1q_s32(sums + r * columns + WIDTH, b##r);
#define HALF_TILE(name, STEP)                                                              \
  LEAF void name(const int8_t *x, ptrdiff_t s, const int8_t *w, int bytes, const int rows, \
                 int32_t *sums) {                                                          \
    EACH(ZERO, )                                                                           \
    for (int k = 0; k < bytes; k += 16, w += 16 * PANEL) {                                 \
      EACH(READ, k)                                                                        \
      STEP(0) STEP(1) STEP(2) STEP(3)                                                      \
    }                                                                                      \
    EACH(SAVE, TILE_COLUMNS)                                                               \
  }

/* A pair of 16-bit inputs, taken apart where its weights are read. Of intrinsics compilers make
 * more moves between registers: a number multiplied by all must lie in one of the first 16. */
#define PAIR(p)                                                         \
  {                                                                     \
    int16x8x2_t u = vld2q_s16((const int16_t *)(w + 4 * PANEL * p));    \
    EACH(PAIR_##p, )                                                    \
  }
#define PAIR_0(r, _) MULTIPLY(r, 0, 1)
#define PAIR_1(r, _) MULTIPLY(r, 2, 3)
#define PAIR_2(r, _) MULTIPLY(r, 4, 5)
#define PAIR_3(r, _) MULTIPLY(r, 6, 7)
#define MULTIPLY(r, first, second)                                                        \
  if (rows > r)                                                                           \
    __asm__("smlal %0.4s, %2.4h, %4.h[" #first "]\n\tsmlal2 %1.4s, %2.8h, %4.h[" #first "]\n\t" \
            "smlal %0.4s, %3.4h, %4.h[" #second "]\n\tsmlal2 %1.4s, %3.8h, %4.h[" #second "]"   \
            : "+&w"(a##r), "+&w"(b##r)                                                    \
            : "w"(u.val[0]), "w"(u.val[1]), "x"(v##r));
HALF_TILE(half_tile, PAIR)

TARGET static void tile(const void *x, ptrdiff_t stride, const int32_t *own_x,
                        const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                        int inputs, int rows, int32_t *sums) {
  (void)own_x, (void)panel, (void)own_weight; /* a tile has the columns of one panel */
  const int8_t *w = weight;
  for (int j = 0; j < TILE_COLUMNS; j += 8, w += 2 * PANEL) switch (rows) {
#define CASE(n) \
  case n: half_tile(x, 2 * stride, w, 2 * inputs, n, sums + j); break;
    FOR_ROWS(TILE_ROWS)(CASE)
#undef CASE
  }
}

PRODUCT(product, tile, 2, BLOCK)

const struct kernels neon_kernels = KERNELS("neon", PLAIN);

#ifdef HAVE_DOTPROD_KERNELS
#undef TARGET
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))

#define FOUR(p)                                                                                   \
  {                                                                                               \
    int8x16_t u0 = vld1q_s8(w + 4 * PANEL * p), u1 = vld1q_s8(w + 4 * PANEL * p + 16);            \
    EACH(FOUR_OF, p)                                                                              \
  }
#define FOUR_OF(r, p) \
  if (rows > r)       \
    a##r = vdotq_laneq_s32(a##r, u0, v##r, p), b##r = vdotq_laneq_s32(b##r, u1, v##r, p);
HALF_TILE(half_tile_8, FOUR)

TARGET static void tile_8(const void *x, ptrdiff_t stride, const int32_t *own_x,
                          const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                          int inputs, int rows, int32_t *sums) {
  (void)own_x, (void)panel, (void)own_weight;
  const int8_t *w = weight;
  for (int j = 0; j < TILE_COLUMNS; j += 8, w += 2 * PANEL) switch (rows) {
#define CASE(n) \
  case n: half_tile_8(x, stride, w, inputs, n, sums + j); break;
    FOR_ROWS(TILE_ROWS)(CASE)
#undef CASE
  }
}

PRODUCT(product_8, tile_8, 1, BLOCK)

const struct kernels neon_int8_kernels =
    KERNELS_8("neon-dotprod-int8", .block = BLOCK, .most_x = 127, .most_weight = 127,
              .product = product_8);
#endif
#endif
