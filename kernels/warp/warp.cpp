// A raw infrared picture and a visible one, in one pass over the rows: both network inputs.
//
// Ownership: pictures and inputs are borrowed for the call, a map owns its tables. Thread-safety: a map does not change once it is
// made and may serve several threads; the GIL is released while pixels are touched.
#include "warp/warp.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "parallel.h"
#include "warp/rows.h"
#include "warp/warp_map.h"

namespace nb = nanobind;

namespace edgefuse {
namespace {

using warp::Gain;
using warp::Size;
using warp::WarpMap;

using Matrix = nb::ndarray<const double, nb::numpy, nb::shape<3, 3>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<nb::ro, nb::numpy, nb::c_contig, nb::device::cpu>;
using Input = nb::ndarray<float, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// A thread below this many pixels costs more to start than it saves.
constexpr std::int64_t kPixelsPerThread = 1 << 18;

template <typename Array>
Size size_of(const Array &array) {
    return {static_cast<std::int64_t>(array.shape(0)), static_cast<std::int64_t>(array.shape(1))};
}

bool operator==(const Size &one, const Size &two) { return one.height == two.height && one.width == two.width; }

// The pixel that stands at `position` when a line of `length` pixels is mirrored at its last one, and there and back beyond.
std::int64_t mirrored(std::int64_t position, std::int64_t length) {
    if (length == 1) return 0;
    const std::int64_t phase = position % (2 * (length - 1));
    return phase < length ? phase : 2 * (length - 1) - phase;
}

void make_map(WarpMap *self, Matrix inverse, std::pair<std::int64_t, std::int64_t> source,
              std::pair<std::int64_t, std::int64_t> target, bool stretch) {
    const Size from{source.first, source.second}, to{target.first, target.second};
    if (std::min(from.height, from.width) < 2 || std::min(to.height, to.width) < 1) {
        throw nb::value_error("a map needs a source of at least 2x2 pixels and a target of at least one");
    }
    if (from.height > std::numeric_limits<std::int32_t>::max() / from.width) throw nb::value_error("the source is too large");
    new (self) WarpMap(WarpMap::of(inverse.data(), from, to, stretch));
}

struct Job {
    const WarpMap &map;
    const std::uint8_t *vis;
    std::int64_t channels;
    Gain gain;
    float *ir_input, *vis_input;
    Size padded;
};

void extend(float *row, std::int64_t width, std::int64_t padded_width) {
    for (std::int64_t x = width; x < padded_width; ++x) row[x] = row[mirrored(x, width)];
}

// Rows [first, last) of both inputs. Where the infrared camera does not look, the visible luminance stands in for it.
template <typename T>
void fill_rows(const Job &job, const T *ir, std::int64_t first, std::int64_t last) {
    const std::int64_t width = job.map.target.width;
    for (std::int64_t y = first; y < last; ++y) {
        float *vis_row = job.vis_input + y * job.padded.width, *ir_row = job.ir_input + y * job.padded.width;
        warp::luminance(job.vis + y * width * job.channels, job.channels, width, vis_row);
        const std::int64_t from = job.map.inside_from[static_cast<std::size_t>(y)];
        const std::int64_t to = job.map.inside_to[static_cast<std::size_t>(y)];
        std::copy(vis_row, vis_row + from, ir_row);
        warp::sample(ir, job.map, y * width + from, to - from, job.gain, ir_row + from);
        std::copy(vis_row + to, vis_row + width, ir_row + to);
        extend(vis_row, width, job.padded.width);
        extend(ir_row, width, job.padded.width);
    }
}

template <typename T>
void fill(const Job &job, const T *ir, int threads) {
    nb::gil_scoped_release release;
    const Size size = job.map.target;
    parallel_rows(size.height, rows_of(kPixelsPerThread, size.width), threads,
                  [&](std::int64_t first, std::int64_t last) { fill_rows(job, ir, first, last); });
    for (std::int64_t y = size.height; y < job.padded.height; ++y) {
        for (float *input : {job.ir_input, job.vis_input}) {
            const float *row = input + mirrored(y, size.height) * job.padded.width;
            std::copy(row, row + job.padded.width, input + y * job.padded.width);
        }
    }
}

void warp_pair(const WarpMap &map, Picture ir, Picture vis, Input ir_input, Input vis_input, float low, float high, int threads) {
    const bool colour = vis.ndim() == 3 && vis.shape(2) == 3;
    if (vis.dtype() != nb::dtype<std::uint8_t>() || !(colour || vis.ndim() == 2)) {
        throw nb::type_error("vis must be uint8 (H, W) or (H, W, 3)");
    }
    if (ir.ndim() != 2) throw nb::type_error("ir must be (h, w)");
    if (!(size_of(ir) == map.source) || !(size_of(vis) == map.target)) {
        throw nb::value_error("ir or vis differs in size from what the map was made for");
    }
    const Size padded = size_of(ir_input);
    if (!(padded == size_of(vis_input)) || padded.height < map.target.height || padded.width < map.target.width) {
        throw nb::value_error("the inputs must be of one size, no smaller than vis");
    }
    if (!(high > low)) throw nb::value_error("high must be above low");
    const Job job{map, static_cast<const std::uint8_t *>(vis.data()), colour ? 3 : 1, {low, 1.0f / (high - low)},
                  ir_input.data(), vis_input.data(), padded};
    if (ir.dtype() == nb::dtype<std::uint8_t>()) {
        fill(job, static_cast<const std::uint8_t *>(ir.data()), threads);
    } else if (ir.dtype() == nb::dtype<std::uint16_t>()) {
        fill(job, static_cast<const std::uint16_t *>(ir.data()), threads);
    } else if (ir.dtype() == nb::dtype<float>()) {
        fill(job, static_cast<const float *>(ir.data()), threads);
    } else {
        throw nb::type_error("ir must be uint8, uint16 or float32");
    }
}

// A table of a map as a read-only array that keeps the map alive.
template <typename T>
auto table(std::vector<T> WarpMap::*member, bool by_pixel) {
    return [member, by_pixel](const WarpMap &map) {
        const std::vector<T> &values = map.*member;
        const std::size_t rows = static_cast<std::size_t>(map.target.height), columns = static_cast<std::size_t>(map.target.width);
        return by_pixel ? nb::ndarray<nb::numpy, const T>(values.data(), {rows, columns}, nb::handle())
                        : nb::ndarray<nb::numpy, const T>(values.data(), {rows}, nb::handle());
    };
}

}  // namespace

void bind_warp(nb::module_ &m) {
    nb::class_<WarpMap>(m, "WarpMap", "Where each pixel of a target picture is read in a source picture, to 1/32 pixel.")
        .def("__init__", &make_map, nb::arg("inverse").noconvert(), nb::kw_only(), nb::arg("source"), nb::arg("target"),
             nb::arg("stretch"), "inverse takes target to source coordinates; source and target are (height, width).")
        .def_prop_ro("source", [](const WarpMap &map) { return std::pair(map.source.height, map.source.width); })
        .def_prop_ro("target", [](const WarpMap &map) { return std::pair(map.target.height, map.target.width); })
        .def_prop_ro("offsets", table(&WarpMap::offsets, true), nb::rv_policy::reference_internal)
        .def_prop_ro("right", table(&WarpMap::right, true), nb::rv_policy::reference_internal)
        .def_prop_ro("down", table(&WarpMap::down, true), nb::rv_policy::reference_internal)
        .def_prop_ro("inside_from", table(&WarpMap::inside_from, false), nb::rv_policy::reference_internal)
        .def_prop_ro("inside_to", table(&WarpMap::inside_to, false), nb::rv_policy::reference_internal);
    m.def("warp_pair", &warp_pair, nb::arg("table"), nb::arg("ir").noconvert(), nb::arg("vis").noconvert(),
          nb::arg("ir_input").noconvert(), nb::arg("vis_input").noconvert(), nb::kw_only(), nb::arg("low"), nb::arg("high"),
          nb::arg("threads") = 0,
          "Fill both network inputs (float32, mirrored beyond the picture) from a raw infrared and a visible picture.");
}

}  // namespace edgefuse
