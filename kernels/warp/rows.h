// One row of the registration of a pair: sampling the infrared picture, and the luminance of the visible one.
#pragma once

#include <cstdint>

#include "warp/warp_map.h"

namespace edgefuse::warp {

// Counts that become 0 and 1: (count − low) × scale, clipped, at each of the four pixels that a sample is made of.
struct Gain {
    float low, scale;
};

// Samples `count` pixels from map position `first` on; `source` is contiguous.
void sample(const std::uint8_t *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out);
void sample(const std::uint16_t *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out);
void sample(const float *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out);

// Luminance in [0, 1] of a row of BGR (3 channels) or gray (1) pixels.
void luminance(const std::uint8_t *pixels, std::int64_t channels, std::int64_t width, float *out);

}  // namespace edgefuse::warp
