#include "ssim/rows.h"

#include "lanes.h"
#include "simd.h"

namespace edgefuse::ssim {
namespace {

using Index = std::int64_t;

// Weights by value, so that a loop that writes floats need not load them again.
struct Weights {
    float w[kRadius + 1];
    EDGEFUSE_INLINE explicit Weights(const Window &window) {
        for (int k = 0; k <= kRadius; ++k) w[k] = window.side[k];
    }
    EDGEFUSE_INLINE float across(const float *v, Index i) const {
        float total = w[0] * v[i];
        for (int k = 1; k <= kRadius; ++k) total += w[k] * (v[i - k] + v[i + k]);
        return total;
    }
};

}  // namespace

EDGEFUSE_CLONES void blur_moments(const Window &window, const float *x, const float *y, Index width,
                                  float *const out[kMoments]) {
    const Weights weights(window);
    float *of_x = out[kX], *of_y = out[kY], *of_xx = out[kXX], *of_yy = out[kYY], *of_xy = out[kXY];
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) {
        float sum_x = weights.w[0] * x[i], sum_y = weights.w[0] * y[i];
        float sum_xx = sum_x * x[i], sum_yy = sum_y * y[i], sum_xy = sum_x * y[i];
        for (int k = 1; k <= kRadius; ++k) {
            const float w = weights.w[k], x0 = x[i - k], x1 = x[i + k], y0 = y[i - k], y1 = y[i + k];
            sum_x += w * (x0 + x1);
            sum_y += w * (y0 + y1);
            sum_xx += w * (x0 * x0 + x1 * x1);
            sum_yy += w * (y0 * y0 + y1 * y1);
            sum_xy += w * (x0 * y0 + x1 * y1);
        }
        of_x[i] = sum_x;
        of_y[i] = sum_y;
        of_xx[i] = sum_xx;
        of_yy[i] = sum_yy;
        of_xy[i] = sum_xy;
    }
}

EDGEFUSE_CLONES void blur_down(const Window &window, const float *const rows[kTaps], Index width, float *out) {
    const Weights weights(window);
    const float *v[kTaps];
    for (int k = 0; k < kTaps; ++k) v[k] = rows[k];
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) {
        float total = weights.w[0] * v[kRadius][i];
        for (int k = 1; k <= kRadius; ++k) total += weights.w[k] * (v[kRadius - k][i] + v[kRadius + k][i]);
        out[i] = total;
    }
}

EDGEFUSE_CLONES double evaluate(const Window &window, const float *const moments[kMoments], Index width, float *scratch,
                                float *const slopes[kSlopes]) {
    const float *of_x = moments[kX], *of_y = moments[kY], *of_xx = moments[kXX], *of_yy = moments[kYY];
    const float *of_xy = moments[kXY];
    const float c1 = window.c1, c2 = window.c2;
    float *by_x = slopes[kByX], *by_xx = slopes[kByXX], *by_xy = slopes[kByXY];
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) {
        const float x = of_x[i], y = of_y[i], both = x * y, squares = x * x + y * y;
        const float luminance = 2.0f * both + c1, structure = 2.0f * (of_xy[i] - both) + c2;
        const float under_luminance = 1.0f / (squares + c1);
        const float under_structure = 1.0f / ((of_xx[i] - x * x) + (of_yy[i] - y * y) + c2);
        const float under = under_luminance * under_structure, similarity = luminance * structure * under;
        scratch[i] = similarity;
        by_x[i] = 2.0f * (y * (structure - luminance) * under - x * similarity * (under_luminance - under_structure));
        by_xx[i] = -similarity * under_structure;
        by_xy[i] = 2.0f * luminance * under;
    }
    return sum_lanes(scratch, width);
}

EDGEFUSE_CLONES void write_gradient(const Window &window, const float *const slopes[kSlopes], const float *x, const float *y,
                                    float scale, Index width, float *out) {
    const Weights weights(window);
    const float *by_x = slopes[kByX], *by_xx = slopes[kByXX], *by_xy = slopes[kByXY];
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) {
        out[i] = scale * (weights.across(by_x, i) + 2.0f * x[i] * weights.across(by_xx, i) + y[i] * weights.across(by_xy, i));
    }
}

}  // namespace edgefuse::ssim
