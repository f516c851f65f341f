// A sum whose order is fixed: it does not depend on the width of the instruction set that a clone uses.
#pragma once

#include <cstdint>

#include "simd.h"

namespace edgefuse {

// Sums in 16 lanes, then pairwise. The compiler may vectorise this without being allowed to reorder sums elsewhere.
EDGEFUSE_INLINE double sum_lanes(const float *values, std::int64_t width) {
    constexpr std::int64_t kLanes = 16;
    float lanes[kLanes] = {};
    const std::int64_t whole = width / kLanes * kLanes;
    for (std::int64_t i = 0; i < whole; i += kLanes) {
        for (std::int64_t k = 0; k < kLanes; ++k) lanes[k] += values[i + k];
    }
    for (std::int64_t i = whole; i < width; ++i) lanes[i - whole] += values[i];
    for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
        for (std::int64_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
    }
    return lanes[0];
}

}  // namespace edgefuse
