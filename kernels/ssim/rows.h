// Row arithmetic of the structural similarity: each function is one vectorised loop over a row that stays in the first-level
// cache.
#pragma once

#include <cstdint>

namespace edgefuse::ssim {

constexpr int kRadius = 5;
constexpr int kTaps = 2 * kRadius + 1;

// Weights of the symmetric window, and the constants of Wang et al. 2004, Eq. 13.
struct Window {
    float side[kRadius + 1];  // the centre first
    float c1, c2;
};

// The quantities that are averaged over windows, and the derivatives of the similarity by three of them.
enum Moment { kX, kY, kXX, kYY, kXY, kMoments };
enum Slope { kByX, kByXX, kByXY, kSlopes };

// Blurs a row of two images and of their products. kRadius zeros are readable on either side of x and y.
void blur_moments(const Window &window, const float *x, const float *y, std::int64_t width, float *const out[kMoments]);

// Blurs down: out = sum of weights × rows, rows[k] being the row k − kRadius away, null outside the image.
void blur_down(const Window &window, const float *const rows[kTaps], std::int64_t width, float *out);

// Similarity of a row from its windowed moments, summed in double; its derivatives go to slopes where they are not null.
double evaluate(const Window &window, const float *const moments[kMoments], std::int64_t width, float *scratch,
                float *const slopes[kSlopes]);

// The gradient by x: scale × (blur(by x) + 2 x blur(by x²) + y blur(by xy)). kRadius zeros are readable on either side of slopes.
void write_gradient(const Window &window, const float *const slopes[kSlopes], const float *x, const float *y, float scale,
                    std::int64_t width, float *out);

}  // namespace edgefuse::ssim
