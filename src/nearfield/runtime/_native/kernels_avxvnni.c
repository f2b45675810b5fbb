/* AVX2 with AVX-VNNI, which multiplies and adds in one step: processors of the kind that came
 * after AVX-512's first, without it. */
#include "engine.h"
#ifdef HAVE_AVXVNNI_KERNELS

#define TARGET __attribute__((target("avx2,fma,avxvnni")))
#define TILE_ROWS 6
#include "vectors_256.h"

/* 12 sums, two vectors of weights and one of activations: 15 of 16 registers. */
#define INT_ROWS(X) X(0, x0) X(1, x0 + s) X(2, x0 + 2 * s) X(3, x3) X(4, x3 + s) X(5, x3 + 2 * s)

LEAF void int_tile(const int16_t *x, ptrdiff_t stride, const int16_t *weight, int inputs,
                   const int rows, int32_t *sums) {
  const ptrdiff_t s = stride * (ptrdiff_t)sizeof *x;
  const char *x0 = (const char *)x, *x3 = x0 + 3 * s;
#define ZERO(r, at) __m256i a##r = _mm256_setzero_si256(), b##r = a##r;
  INT_ROWS(ZERO)
  for (int k = 0; k < inputs; k += 2) {
    __m256i u = _mm256_loadu_si256((const __m256i *)weight);
    __m256i v = _mm256_loadu_si256((const __m256i *)(weight + PANEL));
    _mm_prefetch((const char *)(weight + AHEAD), _MM_HINT_T0);
#define STEP(r, at)                                           \
  if (rows > r) {                                             \
    int32_t pair;                                             \
    memcpy(&pair, at, sizeof pair);                           \
    __m256i p = _mm256_set1_epi32(pair);                      \
    a##r = _mm256_dpwssd_avx_epi32(a##r, p, u);                          \
    b##r = _mm256_dpwssd_avx_epi32(b##r, p, v);                          \
  }
    INT_ROWS(STEP)
    weight += 2 * PANEL;
    x0 += 4;
    x3 += 4;
    KEEP_POINTERS(x0, x3, , );
  }
#define SAVE(r, at)                                                                 \
  if (rows > r) {                                                                   \
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS), a##r);                \
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS + WIDTH), b##r);        \
  }
  INT_ROWS(SAVE)
#undef ZERO
#undef STEP
#undef SAVE
}

#include "float_kernels.h"
#include "products.h"

TARGET static void tile(const void *x, ptrdiff_t stride, const int32_t *own_x,
                        const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                        int inputs, int rows, int32_t *sums) {
  (void)panel, (void)own_x, (void)own_weight; /* a tile has the columns of one panel */
  switch (rows) {
#define CASE(n) \
  case n: int_tile(x, stride, weight, inputs, n, sums); break;
    FOR_ROWS(TILE_ROWS)(CASE)
#undef CASE
  }
}

PRODUCT(product, tile, 2, BLOCK)

const struct kernels avxvnni_kernels = KERNELS("avx-vnni", PLAIN);
#endif
