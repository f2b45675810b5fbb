/* AVX2 with FMA.
 *
 * These processors multiply pairs of 16-bit numbers (vpmaddwd) on two of their units and add on
 * four, so that plain products, one multiplication and one addition for every 16, keep the two
 * busy and wait for them. Here half the multiplications become additions, by an identity of
 * Winograd (A new algorithm for inner product, IEEE Transactions on Computers C-17, 1968):
 *
 *   x1 w1 + x2 w2 = (x1 + w2) (x2 + w1) - x1 x2 - w1 w2
 *
 * where 1 and 2 are here neighbouring pairs of inputs. What is taken off belongs to a row of x
 * alone, or to a column of weights alone, and is known beforehand: their "own products".
 *
 * It is exact. No sum x + w leaves 16 bits, for the largest of both are limited. All else is
 * computed modulo 2^32, in which the result, below 2^31 as always, is itself.
 */
#include "engine.h"
#ifdef HAVE_X86_KERNELS

#define TARGET __attribute__((target("avx2,fma")))
#define TILE_ROWS 4
#define ZERO_OF_X 64 /* of the products of 8 bits */
#include "vectors_256.h"

/* The larger share goes to activations: some of theirs stand far out of their row. */
#define MOST_X 25599
#define MOST_WEIGHT (32767 - MOST_X)

/* The loop is assembly, for compilers run out of registers: ymm8 to 11 hold the weights of two
 * pairs of inputs, 12 to 15 what is being multiplied; sums are the compiler's to place. */
#define WEIGHTS(w1a, w1b, w2a, w2b)                                                          \
  "vmovdqu " #w1a "(%[w]), %%ymm8\n\tvmovdqu " #w1b "(%[w]), %%ymm9\n\t"                     \
  "vmovdqu " #w2a "(%[w]), %%ymm10\n\tvmovdqu " #w2b "(%[w]), %%ymm11\n\t"
#define ROW(first, second, at, r)                                                            \
  "vpbroadcastd " #first "(" at "), %%ymm12\n\tvpbroadcastd " #second "(" at "), %%ymm13\n\t" \
  "vpaddw %%ymm10, %%ymm12, %%ymm14\n\tvpaddw %%ymm8, %%ymm13, %%ymm15\n\t"                  \
  "vpaddw %%ymm11, %%ymm12, %%ymm12\n\tvpaddw %%ymm9, %%ymm13, %%ymm13\n\t"                  \
  "vpmaddwd %%ymm14, %%ymm15, %%ymm14\n\tvpmaddwd %%ymm12, %%ymm13, %%ymm12\n\t"             \
  "vpaddd %%ymm14, %[a" #r "], %[a" #r "]\n\tvpaddd %%ymm12, %[b" #r "], %[b" #r "]\n\t"

#define ROWS_1(first, second) ROW(first, second, "%[x]", 0)
#define ROWS_2(first, second) ROWS_1(first, second) ROW(first, second, "%[x],%[s]", 1)
#define ROWS_3(first, second) ROWS_2(first, second) ROW(first, second, "%[x],%[s],2", 2)
#define ROWS_4(first, second) ROWS_3(first, second) ROW(first, second, "%[last]", 3)
#define SUMS_1 [a0] "+x"(a[0]), [b0] "+x"(b[0])
#define SUMS_2 SUMS_1, [a1] "+x"(a[1]), [b1] "+x"(b[1])
#define SUMS_3 SUMS_2, [a2] "+x"(a[2]), [b2] "+x"(b[2])
#define SUMS_4 SUMS_3, [a3] "+x"(a[3]), [b3] "+x"(b[3])

/* Eight inputs, four pairs, at a time. */
#define LOOP(n)                                                                              \
  __asm__(".p2align 6\n1:\n\t"                                                               \
          WEIGHTS(0, 32, 64, 96) ROWS_##n(0, 4)                                              \
          "prefetcht0 4096(%[w])\n\tprefetcht0 4160(%[w])\n\t"                               \
          WEIGHTS(128, 160, 192, 224) ROWS_##n(8, 12)                                        \
          "prefetcht0 4224(%[w])\n\tprefetcht0 4288(%[w])\n\t"                               \
          "add $16, %[x]\n\tadd $16, %[last]\n\tadd $256, %[w]\n\tsub $8, %[k]\n\tjnz 1b\n\t" \
          : SUMS_##n, [x] "+r"(x), [last] "+r"(last), [w] "+r"(weight), [k] "+r"(k)          \
          : [s] "r"(s)                                                                       \
          : "memory", "cc", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15")

#include "float_kernels.h"
#include "products.h"

TARGET static void tile(const void *rows_of_x, ptrdiff_t stride, const int32_t *own_x,
                        const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                        int inputs, int rows, int32_t *sums) {
  (void)panel; /* a tile has the columns of one */
  const int16_t *x = rows_of_x;
  const ptrdiff_t s = stride * (ptrdiff_t)sizeof *x;
  const int16_t *last = x + 3 * stride; /* the fourth row: addressing reaches no further */
  int k = inputs;
  __m256i a[TILE_ROWS], b[TILE_ROWS];
  const __m256i *own = (const __m256i *)own_weight;
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
    __m256i off = _mm256_set1_epi32(r < rows ? -own_x[r] : 0);
    a[r] = _mm256_sub_epi32(off, _mm256_loadu_si256(own));
    b[r] = _mm256_sub_epi32(off, _mm256_loadu_si256(own + 1));
  }
  switch (rows) {
    case 4: LOOP(4); break;
    case 3: LOOP(3); break;
    case 2: LOOP(2); break;
    case 1: LOOP(1); break;
  }
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS), a[r]);
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS + WIDTH), b[r]);
  }
}

TARGET static int32_t own_products(const void *q, int width) {
  __m256i sum = _mm256_setzero_si256();
  for (int k = 0; k < width; k += 2 * WIDTH) {
    __m256i x = _mm256_loadu_si256((const __m256i *)((const int16_t *)q + k));
    __m256i neighbours = _mm256_shuffle_epi32(x, 0xB1); /* of two pairs, the second first */
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, neighbours));
  }
  int32_t part[WIDTH], total = 0; /* every second part: each product is met from both its sides */
  _mm256_storeu_si256((__m256i *)part, sum);
  for (int i = 0; i < WIDTH; i += 2) total += part[i];
  return total;
}

PRODUCT(product, tile, 2, BLOCK)

const struct kernels avx2_kernels =
    KERNELS("avx2", .most_x = MOST_X, .most_weight = MOST_WEIGHT, .own_x = own_products,
            .own_weight = own_products);

#include "products_8_avx2.h"
#endif
