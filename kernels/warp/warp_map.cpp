// Fixed-point sampling positions of a homography.
#include "warp/warp_map.h"

#include <algorithm>
#include <cmath>

namespace edgefuse::warp {
namespace {

struct Position {
    std::int64_t whole;
    int part;  // 0 to kSteps
};

// A coordinate, in steps, as the left one of two neighbouring pixels and the share of the right one: the last pixel is read as all
// of the right one, so that both neighbours exist.
Position split(std::int64_t steps, std::int64_t length) {
    const std::int64_t whole = std::min(steps / WarpMap::kSteps, length - 2);
    return {whole, static_cast<int>(steps - whole * WarpMap::kSteps)};
}

}  // namespace

WarpMap WarpMap::of(const double inverse[9], Size source, Size target, bool stretch) {
    WarpMap map;
    map.source = source;
    map.target = target;
    const std::size_t pixels = static_cast<std::size_t>(target.height * target.width);
    map.offsets.assign(pixels, 0);
    map.right.assign(pixels, 0);
    map.down.assign(pixels, 0);
    map.inside_from.assign(static_cast<std::size_t>(target.height), 0);
    map.inside_to.assign(static_cast<std::size_t>(target.height), 0);
    const double last_x = static_cast<double>((source.width - 1) * kSteps), last_y = static_cast<double>((source.height - 1) * kSteps);
    for (std::int64_t y = 0; y < target.height; ++y) {
        std::int64_t from = target.width, to = 0;
        for (std::int64_t x = 0; x < target.width; ++x) {
            const double scale = kSteps / (inverse[6] * x + inverse[7] * y + inverse[8]);
            const double at_x = std::nearbyint((inverse[0] * x + inverse[1] * y + inverse[2]) * scale);
            const double at_y = std::nearbyint((inverse[3] * x + inverse[4] * y + inverse[5]) * scale);
            const double in_x = std::clamp(at_x, 0.0, last_x), in_y = std::clamp(at_y, 0.0, last_y);
            if (!std::isfinite(at_x) || !std::isfinite(at_y)) continue;
            if (!stretch && (at_x != in_x || at_y != in_y)) continue;
            const Position column = split(static_cast<std::int64_t>(in_x), source.width);
            const Position row = split(static_cast<std::int64_t>(in_y), source.height);
            const std::size_t i = static_cast<std::size_t>(y * target.width + x);
            map.offsets[i] = static_cast<std::int32_t>(row.whole * source.width + column.whole);
            map.right[i] = static_cast<std::uint8_t>(column.part);
            map.down[i] = static_cast<std::uint8_t>(row.part);
            from = std::min(from, x);
            to = x + 1;
        }
        map.inside_from[static_cast<std::size_t>(y)] = static_cast<std::int32_t>(std::min(from, to));
        map.inside_to[static_cast<std::size_t>(y)] = static_cast<std::int32_t>(to);
    }
    return map;
}

}  // namespace edgefuse::warp
