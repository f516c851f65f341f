#include "warp/rows.h"

#include <algorithm>
#include <cstring>

#include "luminance/pixels.h"
#include "simd.h"

namespace edgefuse::warp {
namespace {

// Pixels are gathered in blocks that stay in the first-level cache, then computed with: a loop that does both is not vectorised,
// and takes four times as long.
constexpr std::int64_t kBlock = 64;

EDGEFUSE_INLINE float unit(float count, Gain gain) {
    return std::min(std::max((count - gain.low) * gain.scale, 0.0f), 1.0f);
}

template <typename T>
EDGEFUSE_INLINE void sample_row(const T *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain,
                                float *out) {
    const std::int64_t pitch = map.source.width;
    const std::int32_t *offsets = map.offsets.data() + first;
    const std::uint8_t *right = map.right.data() + first, *down = map.down.data() + first;
    constexpr float kShare = 1.0f / WarpMap::kSteps;
    T upper[2 * kBlock], lower[2 * kBlock];
    for (std::int64_t begin = 0; begin < count; begin += kBlock) {
        const std::int64_t n = std::min(kBlock, count - begin);
        for (std::int64_t i = 0; i < n; ++i) {
            const T *at = source + offsets[begin + i];
            std::memcpy(upper + 2 * i, at, 2 * sizeof(T));
            std::memcpy(lower + 2 * i, at + pitch, 2 * sizeof(T));
        }
        EDGEFUSE_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) {
            const float a = unit(upper[2 * i], gain), b = unit(upper[2 * i + 1], gain);
            const float c = unit(lower[2 * i], gain), d = unit(lower[2 * i + 1], gain);
            const float to_right = right[begin + i] * kShare, to_lower = down[begin + i] * kShare;
            const float above = a + (b - a) * to_right, below = c + (d - c) * to_right;
            out[begin + i] = above + (below - above) * to_lower;
        }
    }
}

}  // namespace

EDGEFUSE_CLONES
void sample(const std::uint8_t *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out) {
    sample_row(source, map, first, count, gain, out);
}

EDGEFUSE_CLONES
void sample(const std::uint16_t *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out) {
    sample_row(source, map, first, count, gain, out);
}

EDGEFUSE_CLONES
void sample(const float *source, const WarpMap &map, std::int64_t first, std::int64_t count, Gain gain, float *out) {
    sample_row(source, map, first, count, gain, out);
}

EDGEFUSE_CLONES
void luminance(const std::uint8_t *pixels, std::int64_t channels, std::int64_t width, float *out) {
    if (channels == 3) {
        edgefuse::luminance::of_bgr(pixels, width, out);
    } else {
        edgefuse::luminance::of_gray(pixels, width, out);
    }
}

}  // namespace edgefuse::warp
