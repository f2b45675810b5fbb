/* Which kernel sets this processor can run. */
#include "engine.h"

#ifdef HAVE_AVXVNNI_KERNELS
#include <cpuid.h>

static int has_avxvnni(void) {
  unsigned a = 0, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

#ifdef HAVE_DOTPROD_KERNELS
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

static int has_dotprod(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#elif defined(__APPLE__)
#include <sys/sysctl.h>

static int has_dotprod(void) {
  int found = 0;
  size_t size = sizeof found;
  return !sysctlbyname("hw.optional.arm.FEAT_DotProd", &found, &size, NULL, 0) && found;
}
#else
static int has_dotprod(void) { return 0; }
#endif
#endif

const struct kernels *const *available_kernels(void) {
  static const struct kernels *found[7];
  if (found[0]) return found;
  int n = 0;
#ifdef HAVE_X86_KERNELS
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni"))
    found[n++] = &avx512_int8_kernels, found[n++] = &avx512_kernels;
#ifdef HAVE_AVXVNNI_KERNELS
  if (avx2 && has_avxvnni()) found[n++] = &avxvnni_kernels;
#endif
  if (avx2) found[n++] = &avx2_int8_kernels, found[n++] = &avx2_kernels;
#endif
#ifdef HAVE_DOTPROD_KERNELS
  if (has_dotprod()) found[n++] = &neon_int8_kernels;
#endif
#ifdef HAVE_NEON_KERNELS
  found[n++] = &neon_kernels;
#endif
  found[n] = &portable_kernels;
  return found;
}
