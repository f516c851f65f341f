// BT.601 full-range luminance of BGR frames, and its replacement by fused luminance.
//
// Ownership: inputs are borrowed for the call; outputs own freshly allocated memory. Thread-safety: no shared state, the GIL is
// released while pixels are touched.
#include "luminance/luminance.h"

#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "luminance/pixels.h"
#include "parallel.h"

namespace nb = nanobind;

namespace edgefuse {
namespace {

using FrameBgr = nb::ndarray<const std::uint8_t, nb::numpy, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu>;
using PlaneUnit = nb::ndarray<const float, nb::numpy, nb::ndim<2>, nb::device::cpu>;

// A thread below this many pixels costs more to start than it saves.
constexpr std::int64_t kPixelsPerThread = 1 << 18;

template <typename T>
nb::capsule owner_of(T *data) {
    return nb::capsule(data, [](void *p) noexcept { delete[] static_cast<T *>(p); });
}

EDGEFUSE_CLONES
void luminance_pixels(const std::uint8_t *bgr, std::int64_t count, float *out) { luminance::of_bgr(bgr, count, out); }

EDGEFUSE_CLONES
void replace_row(const std::uint8_t *bgr, const float *fused, std::int64_t width, std::uint8_t *out) {
    luminance::replace(bgr, fused, width, out);
}

nb::ndarray<nb::numpy, float> luminance_bgr(FrameBgr bgr) {
    const std::size_t height = bgr.shape(0), width = bgr.shape(1);
    std::unique_ptr<float[]> out(new float[height * width]);
    {
        nb::gil_scoped_release release;
        luminance_pixels(bgr.data(), static_cast<std::int64_t>(height * width), out.get());
    }
    float *data = out.release();
    return nb::ndarray<nb::numpy, float>(data, {height, width}, owner_of(data));
}

nb::ndarray<nb::numpy, std::uint8_t> replace_luminance_bgr(FrameBgr bgr, PlaneUnit fused, int threads) {
    const std::size_t height = bgr.shape(0), width = bgr.shape(1);
    if (fused.shape(0) != height || fused.shape(1) != width) {
        throw nb::value_error("fused and bgr differ in height or width");
    }
    if (width > 1 && fused.stride(1) != 1) throw nb::value_error("the columns of fused must be neighbours in memory");
    std::unique_ptr<std::uint8_t[]> out(new std::uint8_t[height * width * 3]);
    {
        nb::gil_scoped_release release;
        const std::uint8_t *source = bgr.data();
        const float *plane = fused.data();
        const std::int64_t pitch = fused.stride(0), columns = static_cast<std::int64_t>(width);
        std::uint8_t *target = out.get();
        parallel_rows(static_cast<std::int64_t>(height), rows_of(kPixelsPerThread, columns), threads,
                      [&](std::int64_t first, std::int64_t last) {
                          for (std::int64_t y = first; y < last; ++y) {
                              replace_row(source + y * columns * 3, plane + y * pitch, columns, target + y * columns * 3);
                          }
                      });
    }
    std::uint8_t *data = out.release();
    return nb::ndarray<nb::numpy, std::uint8_t>(data, {height, width, 3}, owner_of(data));
}

}  // namespace

void bind_luminance(nb::module_ &m) {
    m.def("luminance_bgr", &luminance_bgr, nb::arg("bgr").noconvert(),
          "BT.601 full-range luminance in [0, 1], float32 (H, W), of a contiguous uint8 (H, W, 3) BGR frame.");
    m.def("replace_luminance_bgr", &replace_luminance_bgr, nb::arg("bgr").noconvert(), nb::arg("fused").noconvert(),
          nb::kw_only(), nb::arg("threads") = 0,
          "The BGR frame with its luminance replaced by fused (float32 (H, W), rows at any distance, clipped to [0, 1]), chroma "
          "kept; uint8 (H, W, 3). No threads given: those of the process.");
}

}  // namespace edgefuse
