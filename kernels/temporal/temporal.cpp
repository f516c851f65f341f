// The passes over pixels of the temporal filter: how much each cell changed, and the recursive step.
//
// Ownership: arrays are borrowed for the call, states and the picture are changed in place; changes own freshly allocated memory.
// Thread-safety: no shared state, the GIL is released while pixels are touched; a state must not be in two calls at once.
#include "temporal/temporal.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "luminance/pixels.h"
#include "parallel.h"
#include "simd.h"

namespace nb = nanobind;

namespace edgefuse {
namespace {

using Frame = nb::ndarray<const std::uint8_t, nb::numpy, nb::shape<-1, -1, -1>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<std::uint8_t, nb::numpy, nb::shape<-1, -1, -1>, nb::c_contig, nb::device::cpu>;
using Cells = nb::ndarray<const float, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using State = nb::ndarray<float, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr std::int64_t kCell = 4;
constexpr std::int64_t kPixelsPerThread = 1 << 18;
// Bilinear enlargement by 4 with half-pixel centres: what the four pixels of a cell take of the cell before, theirs and the next.
constexpr float kBefore[kCell] = {0.375f, 0.125f, 0.0f, 0.0f};
constexpr float kAfter[kCell] = {0.0f, 0.0f, 0.125f, 0.375f};

constexpr std::int64_t cells_of(std::int64_t pixels) { return (pixels + kCell - 1) / kCell; }

EDGEFUSE_INLINE void luminance_row(const std::uint8_t *pixels, std::int64_t channels, std::int64_t width, float *out) {
    if (channels == 3) {
        luminance::of_bgr(pixels, width, out);
    } else {
        luminance::of_gray(pixels, width, out);
    }
}

// Mean absolute change of one row of cells, from the luminance in `state`, which becomes that of the frame; `room` holds two rows of
// pixels. Rows are added first: that needs no gathering.
EDGEFUSE_CLONES
void change_row(const std::uint8_t *pixels, std::int64_t channels, std::int64_t width, std::int64_t rows, float *state, float *room,
                float *out) {
    const std::int64_t whole = width / kCell, rest = width - whole * kCell;
    float *sum = room, *row = room + width;
    std::fill_n(sum, width, 0.0f);
    for (std::int64_t y = 0; y < rows; ++y) {
        luminance_row(pixels + y * width * channels, channels, width, row);
        float *before = state + y * width;
        EDGEFUSE_INDEPENDENT
        for (std::int64_t x = 0; x < width; ++x) {
            sum[x] += std::abs(row[x] - before[x]);
            before[x] = row[x];
        }
    }
    const float share = 1.0f / static_cast<float>(rows * kCell);
    EDGEFUSE_INDEPENDENT
    for (std::int64_t c = 0; c < whole; ++c) {
        const float *cell = sum + kCell * c;
        out[c] = ((cell[0] + cell[1]) + (cell[2] + cell[3])) * share;
    }
    if (rest > 0) {
        float total = 0.0f;
        for (std::int64_t x = whole * kCell; x < width; ++x) total += sum[x];
        out[whole] = total / static_cast<float>(rows * rest);
    }
}

// The shares of the pixels of row y, from those of the cells; `room` holds a row of cells and one more at either end.
EDGEFUSE_INLINE void share_row(const float *cells, std::int64_t rows, std::int64_t columns, std::int64_t y, float *room, float *out) {
    const std::int64_t row = y / kCell, part = y % kCell;
    const float *mid = cells + row * columns;
    const float *above = row > 0 ? mid - columns : mid, *below = row + 1 < rows ? mid + columns : mid;
    const float before = kBefore[part], after = kAfter[part];
    float *line = room + 1;
    EDGEFUSE_INDEPENDENT
    for (std::int64_t c = 0; c < columns; ++c) line[c] = mid[c] + before * (above[c] - mid[c]) + after * (below[c] - mid[c]);
    line[-1] = line[0];
    line[columns] = line[columns - 1];
    EDGEFUSE_INDEPENDENT
    for (std::int64_t c = 0; c < columns; ++c) {
        for (std::int64_t j = 0; j < kCell; ++j) {
            out[kCell * c + j] = line[c] + kBefore[j] * (line[c - 1] - line[c]) + kAfter[j] * (line[c + 1] - line[c]);
        }
    }
}

EDGEFUSE_INLINE std::uint8_t shifted(std::uint8_t value, std::int16_t change) {
    const auto sum = static_cast<std::int16_t>(value + change);
    return static_cast<std::uint8_t>(std::min<std::int16_t>(std::max<std::int16_t>(sum, 0), 255));
}

// Moves the state of a row on, and adds what its luminance lacks or has too much to all channels. The difference is rounded once a
// pixel: channels rounded one by one would let the luminance of a still region tremble with its colour.
EDGEFUSE_INLINE void step_row(std::uint8_t *fused, std::int64_t channels, std::int64_t width, const float *share, float *room,
                              std::int16_t *change, float *state) {
    luminance_row(fused, channels, width, room);
    EDGEFUSE_INDEPENDENT
    for (std::int64_t x = 0; x < width; ++x) {
        const float next = state[x] + share[x] * (room[x] - state[x]);
        state[x] = next;
        const float levels = (next - room[x]) * 255.0f;
        change[x] = static_cast<std::int16_t>(levels + (levels < 0.0f ? -0.5f : 0.5f));
    }
    if (channels == 3) {
        EDGEFUSE_INDEPENDENT
        for (std::int64_t x = 0; x < width; ++x) {
            fused[3 * x] = shifted(fused[3 * x], change[x]);
            fused[3 * x + 1] = shifted(fused[3 * x + 1], change[x]);
            fused[3 * x + 2] = shifted(fused[3 * x + 2], change[x]);
        }
    } else {
        EDGEFUSE_INDEPENDENT
        for (std::int64_t x = 0; x < width; ++x) fused[x] = shifted(fused[x], change[x]);
    }
}

struct Step {
    std::uint8_t *fused;
    const float *share;
    float *state;
    std::int64_t height, width, channels;
};

EDGEFUSE_CLONES
void step_rows(const Step &step, std::int64_t first, std::int64_t last, float *room, std::int16_t *change) {
    const std::int64_t rows = cells_of(step.height), columns = cells_of(step.width), pitch = step.width * step.channels;
    float *line = room, *shares = line + columns + 2, *luma = shares + columns * kCell;
    for (std::int64_t y = first; y < last; ++y) {
        share_row(step.share, rows, columns, y, line, shares);
        step_row(step.fused + y * pitch, step.channels, step.width, shares, luma, change, step.state + y * step.width);
    }
}

template <typename T>
nb::capsule owner_of(T *data) {
    return nb::capsule(data, [](void *p) noexcept { delete[] static_cast<T *>(p); });
}

void check_channels(std::size_t channels) {
    if (channels != 1 && channels != 3) throw nb::value_error("a frame has 1 or 3 channels");
}

void check_state(const State &state, std::size_t height, std::size_t width) {
    if (state.shape(0) != height || state.shape(1) != width) throw nb::value_error("state and frame differ in height or width");
}

nb::ndarray<nb::numpy, float> cell_change(Frame frame, State state, int threads) {
    check_channels(frame.shape(2));
    check_state(state, frame.shape(0), frame.shape(1));
    const auto height = static_cast<std::int64_t>(frame.shape(0)), width = static_cast<std::int64_t>(frame.shape(1));
    const auto channels = static_cast<std::int64_t>(frame.shape(2));
    const std::int64_t rows = cells_of(height), columns = cells_of(width);
    std::unique_ptr<float[]> out(new float[rows * columns]);
    {
        nb::gil_scoped_release release;
        const std::uint8_t *source = frame.data();
        float *target = out.get(), *before = state.data();
        parallel_rows(rows, rows_of(kPixelsPerThread, width * kCell), threads, [&](std::int64_t first, std::int64_t last) {
            std::vector<float> room(2 * width);
            for (std::int64_t row = first; row < last; ++row) {
                const std::int64_t y = row * kCell;
                change_row(source + y * width * channels, channels, width, std::min(kCell, height - y), before + y * width, room.data(),
                           target + row * columns);
            }
        });
    }
    float *data = out.release();
    return nb::ndarray<nb::numpy, float>(data, {static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)}, owner_of(data));
}

void temporal_step(Picture fused, State state, Cells share, int threads) {
    check_channels(fused.shape(2));
    const Step step{fused.data(), share.data(), state.data(), static_cast<std::int64_t>(fused.shape(0)),
                    static_cast<std::int64_t>(fused.shape(1)), static_cast<std::int64_t>(fused.shape(2))};
    check_state(state, fused.shape(0), fused.shape(1));
    const std::int64_t rows = cells_of(step.height), columns = cells_of(step.width);
    if (static_cast<std::int64_t>(share.shape(0)) != rows || static_cast<std::int64_t>(share.shape(1)) != columns) {
        throw nb::value_error("share must have a value for each cell of 4x4 pixels of fused");
    }
    nb::gil_scoped_release release;
    const std::int64_t floats = columns * (kCell + 1) + 2 + step.width;
    parallel_rows(step.height, rows_of(kPixelsPerThread, step.width), threads, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> room(floats);
        std::vector<std::int16_t> change(step.width);
        step_rows(step, first, last, room.data(), change.data());
    });
}

}  // namespace

void bind_temporal(nb::module_ &m) {
    m.def("cell_change", &cell_change, nb::arg("frame").noconvert(), nb::arg("state").noconvert(), nb::kw_only(), nb::arg("threads") = 0,
          "Mean absolute difference, float32, between the BT.601 luminance in [0, 1] of a contiguous uint8 (H, W, 1 or 3) frame and "
          "state (float32 (H, W)), for each cell of 4x4 pixels; state becomes the frame's luminance.");
    m.def("temporal_step", &temporal_step, nb::arg("fused").noconvert(), nb::arg("state").noconvert(), nb::arg("share").noconvert(),
          nb::kw_only(), nb::arg("threads") = 0,
          "Moves state, the float32 (H, W) luminance shown before, towards that of the uint8 (H, W, 1 or 3) frame fused by a share of "
          "the way that is given for each cell of 4x4 pixels, and gives fused that luminance, its chroma kept; both in place.");
}

}  // namespace edgefuse
