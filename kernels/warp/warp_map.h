// Where each pixel of a target picture is read in a source picture: computed once for a geometry, used for every frame.
#pragma once

#include <cstdint>
#include <vector>

namespace edgefuse::warp {

struct Size {
    std::int64_t height, width;
};

// One sample a pixel: the four source pixels from `offset` on, with weights in 32nds. The coordinates are rounded to 1/32 pixel.
struct WarpMap {
    static constexpr int kSteps = 32;

    Size source, target;
    std::vector<std::int32_t> offsets;          // of the upper left source pixel  # [H, W]
    std::vector<std::uint8_t> right, down;      // share of the right column and of the lower row, 0 to 32  # [H, W]
    std::vector<std::int32_t> inside_from, inside_to;  // target columns that lie inside the source  # [H]

    // `inverse` takes target to source coordinates (x, y, 1), row by row; pixel centres at whole numbers. With `stretch`, a pixel
    // that falls outside takes the nearest one of the source; without, it is left out.
    static WarpMap of(const double inverse[9], Size source, Size target, bool stretch);
};

}  // namespace edgefuse::warp
