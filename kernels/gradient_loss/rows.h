// Row arithmetic of the gradient loss: vectorised loops over rows that stay in the first-level cache.
#pragma once

#include <array>
#include <cstdint>

namespace edgefuse::gradient_loss {

enum Term { kMagnitude, kAngle, kDirection, kMaxMagnitude, kTerms };
using Sums = std::array<double, kTerms>;

// A row between its neighbours, each with a readable zero before its first and after its last pixel.
struct Window {
    const float *above, *here, *below;
};

// What one row of the loss is made from, and where its parts go.
struct RowTask {
    Window fused, ir, vis;
    std::int64_t width;
    bool squared;            // magnitude term: square instead of absolute value
    float scale[kTerms];     // derivative of the loss by the sum of a term's values; 0 leaves the term out
    float epsilon_squared;   // of the angle
    float *dx, *dy;          // out: derivative of the loss by the two Sobel derivatives of fused
    float *value[kTerms];    // scratch of `width` floats each
};

// Fills dx and dy and returns the sum of each term's values over the row, unscaled.
Sums evaluate_row(const RowTask &task);

// The transposed Sobel pair of the derivatives by x and y, written to out. Coarse, where not null, is a row of the next scale's
// gradient: a quarter of it falls on each of the four pixels that it was averaged from.
struct Adjoint {
    Window dx, dy;
    std::int64_t width;
    const float *coarse;
    std::int64_t coarse_width;
};
void write_gradient(const Adjoint &rows, float *out);

// 2×2 means of two rows whose pixels lie `stride` floats apart.
void halve(const float *upper, const float *lower, std::int64_t stride, std::int64_t half_width, float *out);

}  // namespace edgefuse::gradient_loss
