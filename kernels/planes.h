// The planes of a (B, 1, H, W) float32 tensor, borrowed at any strides.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>

namespace edgefuse {

using ImageArray = nanobind::ndarray<const float, nanobind::shape<-1, 1, -1, -1>, nanobind::device::cpu>;
using GradientArray = nanobind::ndarray<float, nanobind::shape<-1, 1, -1, -1>, nanobind::c_contig, nanobind::device::cpu>;

struct Planes {
    const float *data;
    std::int64_t plane_stride, row_stride, stride;

    static Planes of(const ImageArray &image) { return {image.data(), image.stride(0), image.stride(2), image.stride(3)}; }

    const float *row(std::int64_t plane, std::int64_t y) const { return data + plane * plane_stride + y * row_stride; }

    // Copies the row to contiguous memory.
    void copy_row(std::int64_t plane, std::int64_t y, std::int64_t width, float *out) const {
        const float *source = row(plane, y);
        if (stride == 1) {
            std::copy_n(source, width, out);
        } else {
            for (std::int64_t i = 0; i < width; ++i) out[i] = source[i * stride];
        }
    }

    // The row as contiguous memory: itself, or gathered into `room`.
    const float *contiguous_row(std::int64_t plane, std::int64_t y, std::int64_t width, float *room) const {
        if (stride == 1) return row(plane, y);
        copy_row(plane, y, width, room);
        return room;
    }
};

template <typename First, typename Second>
bool same_shape(const First &first, const Second &second) {
    return first.shape(0) == second.shape(0) && first.shape(2) == second.shape(2) && first.shape(3) == second.shape(3);
}

}  // namespace edgefuse
