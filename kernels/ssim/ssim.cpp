// Structural similarity on the CPU: the mean and its gradient in one sweep over the rows of two images.
//
// Ownership: images and the gradient's memory are borrowed for the call, scratch is freed before it returns. Thread-safety: no
// shared state; the GIL is released while pixels are touched. Results do not depend on the number of threads.
#include "ssim/ssim.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "parallel.h"
#include "planes.h"
#include "scratch.h"
#include "ssim/rows.h"

namespace nb = nanobind;

namespace edgefuse {
namespace ssim {
namespace {

using Index = std::int64_t;

struct Task {
    Planes x, y;
    Index batch, height, width;
    Window window;
    float per_pixel;
    float *gradient;  // null: not wanted
};

// Rows of a strip that are alive at a time: two rings of as many rows as the window is high, and single rows.
class Strip {
public:
    explicit Strip(Index width) : rows_(kTaps * (kMoments + kSlopes) + kSingles, width, kRadius) {}

    float *moment(int which, Index y) { return rows_[which * kTaps + y % kTaps]; }
    float *slope(int which, Index y) { return rows_[(kMoments + which) * kTaps + y % kTaps]; }
    float *single(int which) { return rows_[kTaps * (kMoments + kSlopes) + which]; }

    enum Single { kRowX, kRowY, kScratch, kZeros, kFirstBlurred, kSingles = kFirstBlurred + kMoments };

private:
    ScratchRows rows_;
};

void load(const Task &task, Index plane, Index y, Strip &strip) {
    for (const auto &[image, which] : {std::pair(&task.x, Strip::kRowX), std::pair(&task.y, Strip::kRowY)}) {
        float *room = strip.single(which);
        const float *row = image->contiguous_row(plane, y, task.width, room);
        if (row != room) std::copy_n(row, task.width, room);
    }
    float *moments[kMoments];
    for (int m = 0; m < kMoments; ++m) moments[m] = strip.moment(m, y);
    blur_moments(task.window, strip.single(Strip::kRowX), strip.single(Strip::kRowY), task.width, moments);
}

// Blurs a ring down around row y; rows outside the image are zero.
template <typename RowOf>
void gather(const Task &task, Index y, Strip &strip, const RowOf &row_of, float *out) {
    const float *rows[kTaps];
    for (Index k = 0; k < kTaps; ++k) {
        const Index q = y + k - kRadius;
        rows[k] = q >= 0 && q < task.height ? row_of(q) : strip.single(Strip::kZeros);
    }
    blur_down(task.window, rows, task.width, out);
}

double evaluate_row(const Task &task, Index y, Strip &strip) {
    const float *moments[kMoments];
    float *slopes[kSlopes];
    for (int m = 0; m < kMoments; ++m) {
        float *out = strip.single(Strip::kFirstBlurred + m);
        gather(task, y, strip, [&](Index q) { return strip.moment(m, q); }, out);
        moments[m] = out;
    }
    for (int s = 0; s < kSlopes; ++s) slopes[s] = strip.slope(s, y);
    return evaluate(task.window, moments, task.width, strip.single(Strip::kScratch), slopes);
}

void write_row(const Task &task, Index plane, Index y, Strip &strip) {
    const float *slopes[kSlopes];
    for (int s = 0; s < kSlopes; ++s) {
        float *out = strip.single(Strip::kFirstBlurred + s);
        gather(task, y, strip, [&](Index q) { return strip.slope(s, q); }, out);
        slopes[s] = out;
    }
    const float *x = task.x.contiguous_row(plane, y, task.width, strip.single(Strip::kRowX));
    const float *other = task.y.contiguous_row(plane, y, task.width, strip.single(Strip::kRowY));
    write_gradient(task.window, slopes, x, other, task.per_pixel, task.width,
                   task.gradient + (plane * task.height + y) * task.width);
}

// Rows [first, last) of one plane. A pixel's gradient needs the windows kRadius rows around it, and those the pixels kRadius rows
// around them; a window is counted by the strip that its row belongs to.
void sweep(const Task &task, Index plane, Index first, Index last, double *row_sums) {
    Strip strip(task.width);
    const Index halo = task.gradient ? kRadius : 0;
    const Index begin = std::max<Index>(0, first - halo), end = std::min(task.height, last + halo);
    Index loaded = std::max<Index>(0, begin - kRadius), written = first;
    for (Index y = begin; y < end; ++y) {
        for (; loaded < std::min(task.height, y + kRadius + 1); ++loaded) load(task, plane, loaded, strip);
        const double sum = evaluate_row(task, y, strip);
        if (y >= first && y < last) row_sums[plane * task.height + y] = sum;
        if (task.gradient && y - kRadius >= first) write_row(task, plane, written++, strip);
    }
    if (task.gradient) {
        for (; written < last; ++written) write_row(task, plane, written, strip);
    }
}

constexpr Index kPixelsPerThread = 4096;  // about 20 microseconds of work, what waking a thread costs

double compute(const Task &task, int threads) {
    std::vector<double> row_sums(static_cast<std::size_t>(task.batch * task.height));
    parallel_rows(task.batch * task.height, kPixelsPerThread / task.width, threads, [&](Index begin, Index end) {
        for (Index at = begin; at < end;) {
            const Index plane = at / task.height, first = at % task.height;
            const Index last = std::min(task.height, first + end - at);
            sweep(task, plane, first, last, row_sums.data());
            at += last - first;
        }
    });
    double total = 0.0;
    for (double sum : row_sums) total += sum;
    return total / static_cast<double>(task.batch * task.height * task.width);
}

double ssim(const ImageArray &image, const ImageArray &reference, std::optional<GradientArray> gradient,
            const std::vector<double> &window, double c1, double c2, int threads) {
    if (!same_shape(image, reference) || (gradient && !same_shape(image, *gradient))) {
        throw nb::value_error("the images differ in shape");
    }
    if (image.size() == 0 || window.size() != kTaps) throw nb::value_error("no pixels, or a window that is not 11 weights");
    Task task{Planes::of(image), Planes::of(reference), static_cast<Index>(image.shape(0)), static_cast<Index>(image.shape(2)),
              static_cast<Index>(image.shape(3)), {}, static_cast<float>(1.0 / static_cast<double>(image.size())),
              gradient ? gradient->data() : nullptr};
    for (int k = 0; k <= kRadius; ++k) task.window.side[k] = static_cast<float>(window[static_cast<std::size_t>(kRadius + k)]);
    task.window.c1 = static_cast<float>(c1);
    task.window.c2 = static_cast<float>(c2);
    nb::gil_scoped_release release;
    return compute(task, threads);
}

}  // namespace
}  // namespace ssim

void bind_ssim(nb::module_ &m) {
    m.def("ssim", &ssim::ssim, nb::arg("image").noconvert(), nb::arg("reference").noconvert(),
          nb::arg("gradient").noconvert().none(), nb::kw_only(), nb::arg("window"), nb::arg("c1"), nb::arg("c2"),
          nb::arg("threads"),
          "Mean structural similarity of two float32 (B, 1, H, W) images under a symmetric window of 11 weights; its gradient with "
          "respect to the first is written to gradient where it is not None.");
}

}  // namespace edgefuse
