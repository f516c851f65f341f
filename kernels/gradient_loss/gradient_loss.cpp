// Gradient loss of the CPU: value and derivative in one sweep over the rows of the three images.
//
// Ownership: images and the gradient's memory are borrowed for the call, scratch is freed before it returns. Thread-safety: no
// shared state; the GIL is released while pixels are touched. Results do not depend on the number of threads.
#include "gradient_loss/gradient_loss.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gradient_loss/rows.h"
#include "parallel.h"
#include "planes.h"
#include "scratch.h"

namespace nb = nanobind;

namespace edgefuse {
namespace gradient_loss {
namespace {

using Index = std::int64_t;
struct Options {
    Sums weight;
    bool squared;
    float epsilon_squared;
};

// The three images at one scale, and where their gradient goes (null: not wanted).
struct Level {
    Planes fused, ir, vis;
    Index batch, height, width;
    float *gradient;
    const Level *coarser;

    Index pixels() const { return batch * height * width; }
    float *gradient_row(Index plane, Index y) const { return gradient + (plane * height + y) * width; }
};

// Rows of a strip that are alive at a time, with a zero on both sides: rings of three rows, and single rows.
class Strip {
public:
    explicit Strip(Index width) : rows_(3 * kRings + kSingles, width, 1), width_(width) {}

    enum Ring { kFused, kIr, kVis, kDx, kDy, kRings };
    float *row(Ring ring, Index y) { return rows_[3 * ring + y % 3]; }
    float *value(int term) { return rows_[3 * kRings + 1 + term]; }

    void load(Ring ring, const Planes &image, Index plane, Index y) { image.copy_row(plane, y, width_, row(ring, y)); }

    // Row y of a picture of so many rows between its neighbours; those outside of it are zero.
    Window window(Ring ring, Index y, Index height) {
        float *zeros = rows_[3 * kRings];
        return {y > 0 ? row(ring, y - 1) : zeros, row(ring, y), y + 1 < height ? row(ring, y + 1) : zeros};
    }

private:
    enum { kSingles = 1 + kTerms };
    ScratchRows rows_;
    Index width_;
};

void load_row(const Level &level, Index plane, Index y, Strip &strip) {
    strip.load(Strip::kFused, level.fused, plane, y);
    strip.load(Strip::kIr, level.ir, plane, y);
    strip.load(Strip::kVis, level.vis, plane, y);
}

// Evaluates row y, whose images are loaded down to row y + 1, and returns the sum of each term over it.
Sums evaluate(const Level &level, const Options &options, Index y, Strip &strip) {
    const auto window = [&](Strip::Ring ring) { return strip.window(ring, y, level.height); };
    RowTask task{window(Strip::kFused), window(Strip::kIr), window(Strip::kVis), level.width, options.squared, {},
                 options.epsilon_squared, strip.row(Strip::kDx, y), strip.row(Strip::kDy, y), {}};
    for (int t = 0; t < kTerms; ++t) {
        task.scale[t] = static_cast<float>(options.weight[t] / static_cast<double>(level.pixels()));
        task.value[t] = strip.value(t);
    }
    return evaluate_row(task);
}

void write_row(const Level &level, Index plane, Index y, Strip &strip) {
    Adjoint adjoint{strip.window(Strip::kDx, y, level.height), strip.window(Strip::kDy, y, level.height), level.width, nullptr, 0};
    if (level.coarser && y / 2 < level.coarser->height) {
        adjoint.coarse = level.coarser->gradient_row(plane, y / 2);
        adjoint.coarse_width = level.coarser->width;
    }
    write_gradient(adjoint, level.gradient_row(plane, y));
}

// Rows [first, last) of one plane. Their neighbours are evaluated too, since a pixel's derivative gathers from both sides, but are
// counted by the strip that they belong to.
void sweep(const Level &level, const Options &options, Index plane, Index first, Index last, Sums *row_sums) {
    Strip strip(level.width);
    const Index halo = level.gradient ? 1 : 0, begin = std::max<Index>(0, first - halo), end = std::min(level.height, last + halo);
    for (Index y = std::max<Index>(0, begin - 1); y <= begin; ++y) load_row(level, plane, y, strip);
    for (Index y = begin; y < end; ++y) {
        if (y + 1 < level.height) load_row(level, plane, y + 1, strip);
        const Sums sums = evaluate(level, options, y, strip);
        if (y >= first && y < last) row_sums[plane * level.height + y] = sums;
        if (level.gradient && y > first) write_row(level, plane, y - 1, strip);
    }
    if (level.gradient && last == level.height) write_row(level, plane, last - 1, strip);
}

constexpr Index kPixelsPerThread = 16384;  // about 20 microseconds of work, what waking a thread costs

// Means of every term over one level.
Sums evaluate(const Level &level, const Options &options, int threads) {
    std::vector<Sums> row_sums(static_cast<std::size_t>(level.batch * level.height));
    parallel_rows(level.batch * level.height, kPixelsPerThread / level.width, threads, [&](Index begin, Index end) {
        for (Index at = begin; at < end;) {
            const Index plane = at / level.height, first = at % level.height;
            const Index last = std::min(level.height, first + end - at);
            sweep(level, options, plane, first, last, row_sums.data());
            at += last - first;
        }
    });
    Sums means{};
    for (const Sums &row : row_sums) {
        for (int t = 0; t < kTerms; ++t) means[t] += row[t];
    }
    for (double &mean : means) mean /= static_cast<double>(level.pixels());
    return means;
}

// A level of half the size with the memory that it needs: three images, then the gradient.
struct Coarse {
    std::unique_ptr<float[]> memory;
    Level level;
};

Coarse halve_level(const Level &fine, int threads) {
    const Index height = fine.height / 2, width = fine.width / 2, size = fine.batch * height * width;
    Coarse coarse{std::unique_ptr<float[]>(new float[size * (fine.gradient ? 4 : 3)]), {}};
    float *base = coarse.memory.get();
    parallel_rows(fine.batch * height, kPixelsPerThread / width, threads, [&](Index begin, Index end) {
        for (Index at = begin; at < end; ++at) {
            const Index plane = at / height, y = at % height;
            const Planes *sources[3] = {&fine.fused, &fine.ir, &fine.vis};
            for (Index k = 0; k < 3; ++k) {
                halve(sources[k]->row(plane, 2 * y), sources[k]->row(plane, 2 * y + 1), sources[k]->stride, width,
                      base + k * size + at * width);
            }
        }
    });
    const auto planes = [&](Index k) { return Planes{base + k * size, height * width, width, 1}; };
    coarse.level = {planes(0), planes(1), planes(2), fine.batch, height, width, fine.gradient ? base + 3 * size : nullptr, nullptr};
    return coarse;
}

// The terms, unweighted; the gradient of their weighted sum goes to `gradient`. Coarse scales come first, so that each finer one
// adds the finished gradient of all below it while it writes its own.
Sums compute(Level &finest, const Options &options, const std::vector<double> &scale_weights, int threads) {
    const std::size_t n_scales = options.weight[kDirection] != 0 ? scale_weights.size() : 1;
    std::vector<Coarse> coarse;
    for (std::size_t s = 1; s < n_scales; ++s) coarse.push_back(halve_level(s == 1 ? finest : coarse.back().level, threads));
    Sums terms{};
    for (std::size_t s = n_scales; s-- > 0;) {
        Level &level = s == 0 ? finest : coarse[s - 1].level;
        level.coarser = level.gradient && s + 1 < n_scales ? &coarse[s].level : nullptr;
        Options here = options;
        if (s > 0) here.weight = {};
        here.weight[kDirection] = options.weight[kDirection] * scale_weights[s];
        const Sums means = evaluate(level, here, threads);
        for (int t = 0; t < kTerms; ++t) terms[t] += t == kDirection ? scale_weights[s] * means[t] : means[t];
    }
    return terms;
}

Sums gradient_loss(const ImageArray &fused, const ImageArray &ir, const ImageArray &vis, std::optional<GradientArray> gradient, double magnitude,
                   bool squared, double angle, double direction, const std::vector<double> &scale_weights, double max_magnitude,
                   double angle_epsilon, int threads) {
    if (!same_shape(fused, ir) || !same_shape(fused, vis) || (gradient && !same_shape(fused, *gradient))) {
        throw nb::value_error("the images differ in shape");
    }
    if (fused.size() == 0 || scale_weights.empty()) throw nb::value_error("no pixels or no scales");
    if (direction != 0 && (std::min(fused.shape(2), fused.shape(3)) >> (scale_weights.size() - 1)) == 0) {
        throw nb::value_error("the images are too small for so many scales");
    }
    Level finest{Planes::of(fused), Planes::of(ir), Planes::of(vis), static_cast<Index>(fused.shape(0)),
                 static_cast<Index>(fused.shape(2)), static_cast<Index>(fused.shape(3)), gradient ? gradient->data() : nullptr, nullptr};
    const Options options{{magnitude, angle, direction, max_magnitude}, squared, static_cast<float>(angle_epsilon * angle_epsilon)};
    nb::gil_scoped_release release;
    return compute(finest, options, scale_weights, threads);
}

}  // namespace
}  // namespace gradient_loss

void bind_gradient_loss(nb::module_ &m) {
    m.def("gradient_loss", &gradient_loss::gradient_loss, nb::arg("fused").noconvert(), nb::arg("ir").noconvert(),
          nb::arg("vis").noconvert(), nb::arg("gradient").noconvert().none(), nb::kw_only(), nb::arg("magnitude"), nb::arg("squared"),
          nb::arg("angle"), nb::arg("direction"), nb::arg("scale_weights"), nb::arg("max_magnitude"), nb::arg("angle_epsilon"),
          nb::arg("threads"),
          "Unweighted terms (magnitude, angle, direction, max_magnitude) of float32 (B, 1, H, W) images; the "
          "gradient of the weighted sum with respect to fused is written to gradient where it is not None.");
}

}  // namespace edgefuse
