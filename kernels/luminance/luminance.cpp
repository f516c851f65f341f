// BT.601 full-range luminance of BGR frames, and its replacement by fused luminance.
//
// Ownership: inputs are borrowed for the call; outputs own freshly allocated memory. Thread-safety: no shared state, the GIL is
// released while pixels are touched.
#include "luminance/luminance.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace nb = nanobind;

namespace edgefuse {
namespace {

using FrameBgr = nb::ndarray<const std::uint8_t, nb::numpy, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu>;
using PlaneUnit = nb::ndarray<const float, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr float kBlue = 0.114f;
constexpr float kGreen = 0.587f;
constexpr float kRed = 0.299f;

template <typename T>
nb::capsule owner_of(T *data) {
    return nb::capsule(data, [](void *p) noexcept { delete[] static_cast<T *>(p); });
}

nb::ndarray<nb::numpy, float> luminance_bgr(FrameBgr bgr) {
    const std::size_t height = bgr.shape(0), width = bgr.shape(1), pixels = height * width;
    std::unique_ptr<float[]> out(new float[pixels]);
    {
        nb::gil_scoped_release release;
        const std::uint8_t *p = bgr.data();
        for (std::size_t i = 0; i < pixels; ++i, p += 3) {
            out[i] = (kBlue * p[0] + kGreen * p[1] + kRed * p[2]) * (1.0f / 255.0f);
        }
    }
    float *data = out.release();
    return nb::ndarray<nb::numpy, float>(data, {height, width}, owner_of(data));
}

// In YCbCr, keeping Cb and Cr and changing Y adds the same amount to R, G and B: no conversion back is needed, and a pixel whose
// luminance did not change keeps its value to the bit.
nb::ndarray<nb::numpy, std::uint8_t> replace_luminance_bgr(FrameBgr bgr, PlaneUnit fused) {
    const std::size_t height = bgr.shape(0), width = bgr.shape(1), pixels = height * width;
    if (fused.shape(0) != height || fused.shape(1) != width) {
        throw nb::value_error("fused and bgr differ in height or width");
    }
    std::unique_ptr<std::uint8_t[]> out(new std::uint8_t[pixels * 3]);
    {
        nb::gil_scoped_release release;
        const std::uint8_t *p = bgr.data();
        const float *f = fused.data();
        std::uint8_t *q = out.get();
        for (std::size_t i = 0; i < pixels; ++i, p += 3, q += 3) {
            const float luminance = kBlue * p[0] + kGreen * p[1] + kRed * p[2];
            const float wanted = std::min(std::max(f[i], 0.0f), 1.0f) * 255.0f;
            const float delta = wanted - luminance;
            for (int c = 0; c < 3; ++c) {
                const float value = std::min(std::max(static_cast<float>(p[c]) + delta, 0.0f), 255.0f);
                q[c] = static_cast<std::uint8_t>(value + 0.5f);
            }
        }
    }
    std::uint8_t *data = out.release();
    return nb::ndarray<nb::numpy, std::uint8_t>(data, {height, width, 3}, owner_of(data));
}

}  // namespace

void bind_luminance(nb::module_ &m) {
    m.def("luminance_bgr", &luminance_bgr, nb::arg("bgr").noconvert(),
          "BT.601 full-range luminance in [0, 1], float32 (H, W), of a contiguous uint8 (H, W, 3) BGR frame.");
    m.def("replace_luminance_bgr", &replace_luminance_bgr, nb::arg("bgr").noconvert(), nb::arg("fused").noconvert(),
          "The BGR frame with its luminance replaced by fused (float32 (H, W), clipped to [0, 1]), chroma kept; uint8 (H, W, 3).");
}

}  // namespace edgefuse
