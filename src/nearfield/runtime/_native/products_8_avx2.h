/* AVX2's products of 8-bit numbers, for those who ask for speed before the last digits.
 * Included by kernels_avx2.c, which has the loops over floats.
 *
 * vpmaddubsw multiplies an unsigned byte by a signed one, four times as many at a time as
 * floats, and adds two products in 16 bits. Inputs are 7 bits, 64 added to make them positive,
 * and weights stop at 64 in size: four products, 4 * 127 * 64 = 32,512, still fit, so that two
 * multiplications share the widening to 32 bits. The 64 come off through each column's sum.
 * A scale is shared by 128 inputs only, for 7 bits are soon spent on one large number.
 */
/* The weights of eight inputs: three vectors in ymm8 to 10, the fourth is read from memory each
 * time, for ymm11 holds ones and 12 to 15 what is being multiplied. */
#define WEIGHTS_8(w1a, w1b, w2a)                                                             \
  "vmovdqu " #w1a "(%[w]), %%ymm8\n\tvmovdqu " #w1b "(%[w]), %%ymm9\n\t"                     \
  "vmovdqu " #w2a "(%[w]), %%ymm10\n\t"
#define ROW_8(first, second, w2b, at, r)                                                     \
  "vpbroadcastd " #first "(" at "), %%ymm12\n\tvpbroadcastd " #second "(" at "), %%ymm13\n\t" \
  "vpmaddubsw %%ymm8, %%ymm12, %%ymm14\n\tvpmaddubsw %%ymm9, %%ymm12, %%ymm12\n\t"           \
  "vpmaddubsw %%ymm10, %%ymm13, %%ymm15\n\tvpmaddubsw " #w2b "(%[w]), %%ymm13, %%ymm13\n\t"  \
  "vpaddw %%ymm15, %%ymm14, %%ymm14\n\tvpaddw %%ymm13, %%ymm12, %%ymm12\n\t"                 \
  "vpmaddwd %%ymm11, %%ymm14, %%ymm14\n\tvpmaddwd %%ymm11, %%ymm12, %%ymm12\n\t"             \
  "vpaddd %%ymm14, %[a" #r "], %[a" #r "]\n\tvpaddd %%ymm12, %[b" #r "], %[b" #r "]\n\t"

#define ROWS_8_1(first, second, w2b) ROW_8(first, second, w2b, "%[x]", 0)
#define ROWS_8_2(first, second, w2b) \
  ROWS_8_1(first, second, w2b) ROW_8(first, second, w2b, "%[x],%[s]", 1)
#define ROWS_8_3(first, second, w2b) \
  ROWS_8_2(first, second, w2b) ROW_8(first, second, w2b, "%[x],%[s],2", 2)
#define ROWS_8_4(first, second, w2b) \
  ROWS_8_3(first, second, w2b) ROW_8(first, second, w2b, "%[last]", 3)

/* Sixteen inputs at a time. */
#define LOOP_8(n)                                                                            \
  __asm__("vpcmpeqw %%ymm11, %%ymm11, %%ymm11\n\tvpsrlw $15, %%ymm11, %%ymm11\n\t"           \
          ".p2align 6\n1:\n\t"                                                               \
          WEIGHTS_8(0, 32, 64) ROWS_8_##n(0, 4, 96)                                          \
          "prefetcht0 4096(%[w])\n\tprefetcht0 4160(%[w])\n\t"                               \
          WEIGHTS_8(128, 160, 192) ROWS_8_##n(8, 12, 224)                                    \
          "prefetcht0 4224(%[w])\n\tprefetcht0 4288(%[w])\n\t"                               \
          "add $16, %[x]\n\tadd $16, %[last]\n\tadd $256, %[w]\n\tsub $16, %[k]\n\tjnz 1b\n\t" \
          : SUMS_##n, [x] "+r"(x), [last] "+r"(last), [w] "+r"(weight), [k] "+r"(k)          \
          : [s] "r"(stride)                                                                  \
          : "memory", "cc", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15")

TARGET static void tile_8(const void *rows_of_x, ptrdiff_t stride, const int32_t *own_x,
                          const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                          int inputs, int rows, int32_t *sums) {
  (void)own_x, (void)panel; /* a tile has the columns of one */
  const char *x = rows_of_x, *last = x + 3 * stride;
  int k = inputs;
  __m256i a[TILE_ROWS], b[TILE_ROWS], zero = _mm256_setzero_si256();
  const __m256i *own = (const __m256i *)own_weight;
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
    a[r] = _mm256_sub_epi32(zero, _mm256_loadu_si256(own));
    b[r] = _mm256_sub_epi32(zero, _mm256_loadu_si256(own + 1));
  }
  switch (rows) {
    case 4: LOOP_8(4); break;
    case 3: LOOP_8(3); break;
    case 2: LOOP_8(2); break;
    case 1: LOOP_8(1); break;
  }
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS), a[r]);
    _mm256_storeu_si256((__m256i *)(sums + r * TILE_COLUMNS + WIDTH), b[r]);
  }
}

#define BLOCK_8 128
PRODUCT(product_8, tile_8, 1, BLOCK_8)

const struct kernels avx2_int8_kernels =
    KERNELS_8("avx2-int8", .block = BLOCK_8, .most_x = 63, .most_weight = 64,
              .product = product_8);
