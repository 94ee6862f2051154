/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of floats for sources that are compiled once per instruction set: `vf` holds
 * VF_WIDTH floats, a divisor of 16. Every operation rounds each lane on its own, the
 * fused ones once, so that a loop over lanes gives the same bits at any width. Private to
 * common/nn: include it only in such sources. */
#ifndef ARCHWAY_COMMON_NN_SIMD_H
#define ARCHWAY_COMMON_NN_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define VF_INLINE static inline __attribute__((always_inline))

#if defined __AVX512F__
#include <immintrin.h>
typedef __m512 vf;
enum { VF_WIDTH = 16 };
#define vf_load(p) _mm512_loadu_ps(p)
#define vf_store(p, v) _mm512_storeu_ps(p, v)
#define vf_set(x) _mm512_set1_ps(x)
#define vf_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vf_min(a, b) _mm512_min_ps(a, b)
#define vf_max(a, b) _mm512_max_ps(a, b)
/* The low bits of each float, moved to the exponent of 1.0: see vf_exp_parts. */
VF_INLINE vf vf_exponent(vf t)
{
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
}
#elif defined __AVX2__ && defined __FMA__
#include <immintrin.h>
typedef __m256 vf;
enum { VF_WIDTH = 8 };
#define vf_load(p) _mm256_loadu_ps(p)
#define vf_store(p, v) _mm256_storeu_ps(p, v)
#define vf_set(x) _mm256_set1_ps(x)
#define vf_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vf_min(a, b) _mm256_min_ps(a, b)
#define vf_max(a, b) _mm256_max_ps(a, b)
VF_INLINE vf vf_exponent(vf t)
{
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
}
#else
typedef float vf __attribute__((vector_size(16)));
enum { VF_WIDTH = 4 };
VF_INLINE vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
VF_INLINE void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
VF_INLINE vf vf_set(float x)
{
    return (vf){x, x, x, x};
}
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    for (int i = 0; i < 4; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
VF_INLINE vf vf_min(vf a, vf b)
{
    for (int i = 0; i < 4; i++)
        a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
VF_INLINE vf vf_max(vf a, vf b)
{
    for (int i = 0; i < 4; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
VF_INLINE vf vf_exponent(vf t)
{
    typedef uint32_t bits_type __attribute__((vector_size(16)));
    bits_type bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&t, &bits, sizeof bits);
    return t;
}
#endif

/* x = n ln 2 + r with |r| <= ln 2 / 2, -87 <= x <= 88: e^x = 2^n + 2^n (e^r - 1).
 * *ret_scale = 2^n, returns e^r - 1 = r + r^2 q(r), q a minimax polynomial of degree 4
 * (relative error 1.4e-8). The addition of 1.5 * 2^23 rounds to an integer that then
 * stands in the low bits. */
VF_INLINE vf vf_exp_parts(vf x, vf *ret_scale)
{
    const vf magic = vf_set(12582912.0f);
    vf t = vf_fma(x, vf_set(1.44269504f), magic);
    vf n = t - magic;
    vf r = vf_fma(n, vf_set(-0.693145752f), x); /* 15 bits of ln 2, then the rest */
    r = vf_fma(n, vf_set(-1.42860677e-6f), r);
    vf q = vf_set(0x1.6bebfep-10f);
    q = vf_fma(q, r, vf_set(0x1.1227bp-7f));
    q = vf_fma(q, r, vf_set(0x1.555674p-5f));
    q = vf_fma(q, r, vf_set(0x1.5554bp-3f));
    q = vf_fma(q, r, vf_set(0x1.fffffep-2f));
    *ret_scale = vf_exponent(t);
    return vf_fma(q, r * r, r);
}

VF_INLINE vf vf_exp(vf x)
{
    vf scale, part;
    x = vf_max(vf_min(x, vf_set(88.0f)), vf_set(-87.0f));
    part = vf_exp_parts(x, &scale);
    return vf_fma(scale, part, scale);
}

VF_INLINE vf vf_sigmoid(vf x)
{
    const vf one = vf_set(1.0f);
    return one / (one + vf_exp(-x));
}

/* (e^2x - 1) / (e^2x + 1), exact near 0 as well because e^2x - 1 is never rounded to 0.
 */
VF_INLINE vf vf_tanh(vf x)
{
    const vf one = vf_set(1.0f);
    vf scale, part;
    x = vf_max(vf_min(x, vf_set(20.0f)), vf_set(-20.0f));
    part = vf_exp_parts(x + x, &scale);
    vf e = vf_fma(scale, part, scale - one);
    return e / (e + vf_set(2.0f));
}

/* Has this processor what the source was compiled for? */
static inline bool vf_runs_here(void)
{
#if defined __AVX512F__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
#elif defined __AVX2__ && defined __FMA__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

#endif
