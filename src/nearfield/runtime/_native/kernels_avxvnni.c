/* AVX2 with AVX-VNNI, which multiplies and adds in one step: processors of the kind that came
 * after AVX-512's first, without it. */
#include "engine.h"
#ifdef HAVE_AVXVNNI_KERNELS

#define TARGET __attribute__((target("avx2,fma,avxvnni")))
#define ADD_PRODUCTS(sums, p, w) _mm256_dpwssd_avx_epi32(sums, p, w)
#include "vectors_256.h"

const struct kernels avxvnni_kernels = KERNELS("avx-vnni");
#endif
