// One source, several instruction sets: the loader picks the widest clone that the processor has.
#pragma once

// Function clones by level of x86-64 need GCC 12 (Clang's differ in spelling and maturity) and a C library with indirect functions.
#if defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define EDGEFUSE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EDGEFUSE_CLONES
#endif

// Before a loop whose iterations touch no common element: the compiler need not check the pointers at run time.
#if defined(__clang__)
#define EDGEFUSE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define EDGEFUSE_INDEPENDENT _Pragma("GCC ivdep")
#else
#define EDGEFUSE_INDEPENDENT
#endif

// A helper of a cloned function must be part of it, or it is compiled once, for the baseline alone.
#if defined(__GNUC__)
#define EDGEFUSE_INLINE inline __attribute__((always_inline))
#else
#define EDGEFUSE_INLINE inline
#endif
