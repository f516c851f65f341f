// Colour arithmetic of one row: BT.601 full-range luminance of BGR pixels, and its replacement.
//
// Always inlined into cloned functions. The files that include it are compiled without contraction to fused multiply-adds, so
// every clone gives the same bits.
#pragma once

#include <algorithm>
#include <cstdint>

#include "simd.h"

namespace edgefuse::luminance {

constexpr float kBlue = 0.114f;
constexpr float kGreen = 0.587f;
constexpr float kRed = 0.299f;
constexpr float kUnit = 1.0f / 255.0f;

// Luminance in [0, 1] of `width` BGR pixels.
EDGEFUSE_INLINE void of_bgr(const std::uint8_t *bgr, std::int64_t width, float *out) {
    EDGEFUSE_INDEPENDENT
    for (std::int64_t x = 0; x < width; ++x) {
        out[x] = (kBlue * bgr[3 * x] + kGreen * bgr[3 * x + 1] + kRed * bgr[3 * x + 2]) * kUnit;
    }
}

// Luminance in [0, 1] of `width` gray pixels.
EDGEFUSE_INLINE void of_gray(const std::uint8_t *gray, std::int64_t width, float *out) {
    EDGEFUSE_INDEPENDENT
    for (std::int64_t x = 0; x < width; ++x) out[x] = gray[x] * kUnit;
}

EDGEFUSE_INLINE std::uint8_t rounded(float value) {
    return static_cast<std::uint8_t>(static_cast<int>(std::min(std::max(value, 0.0f), 255.0f) + 0.5f));
}

// BGR pixels with their luminance replaced by `fused`, clipped to [0, 1]. In YCbCr, keeping Cb and Cr and changing Y adds the same
// amount to R, G and B: no conversion back is needed, and a pixel whose luminance did not change keeps its value to the bit.
EDGEFUSE_INLINE void replace(const std::uint8_t *bgr, const float *fused, std::int64_t width, std::uint8_t *out) {
    EDGEFUSE_INDEPENDENT
    for (std::int64_t x = 0; x < width; ++x) {
        const float blue = bgr[3 * x], green = bgr[3 * x + 1], red = bgr[3 * x + 2];
        const float wanted = std::min(std::max(fused[x], 0.0f), 1.0f) * 255.0f;
        const float change = wanted - (kBlue * blue + kGreen * green + kRed * red);
        out[3 * x] = rounded(blue + change);
        out[3 * x + 1] = rounded(green + change);
        out[3 * x + 2] = rounded(red + change);
    }
}

}  // namespace edgefuse::luminance
