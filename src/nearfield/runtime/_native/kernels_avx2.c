/* AVX2 with FMA. */
#include "engine.h"
#ifdef HAVE_X86_KERNELS

#define TARGET __attribute__((target("avx2,fma")))
#define ADD_PRODUCTS(sums, p, w) _mm256_add_epi32(sums, _mm256_madd_epi16(p, w))
#include "vectors_256.h"

const struct kernels avx2_kernels = KERNELS("avx2");
#endif
