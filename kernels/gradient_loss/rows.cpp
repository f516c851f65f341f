#include "gradient_loss/rows.h"

#include <algorithm>
#include <cmath>

#include "lanes.h"
#include "simd.h"

namespace edgefuse::gradient_loss {
namespace {

using Index = std::int64_t;

struct Vector {
    float x, y;
    EDGEFUSE_INLINE float squared() const { return x * x + y * y; }
};

// Column i of a window: weighted sum of its three pixels, and the difference of the outer two.
struct Columns {
    const float *above, *here, *below;
    EDGEFUSE_INLINE explicit Columns(const Window &w) : above(w.above), here(w.here), below(w.below) {}
    EDGEFUSE_INLINE float smooth(Index i) const { return above[i] + below[i] + 2.0f * here[i]; }
    EDGEFUSE_INLINE float difference(Index i) const { return below[i] - above[i]; }
    EDGEFUSE_INLINE float along_x(Index i) const { return smooth(i + 1) - smooth(i - 1); }
    EDGEFUSE_INLINE float along_y(Index i) const { return difference(i - 1) + difference(i + 1) + 2.0f * difference(i); }
    EDGEFUSE_INLINE Vector sobel(Index i) const { return {along_x(i), along_y(i)}; }
};

EDGEFUSE_INLINE float sign(float v) { return v > 0.0f ? 1.0f : (v < 0.0f ? -1.0f : 0.0f); }
EDGEFUSE_INLINE float taller(float ir, float vis) { return std::fabs(ir) > std::fabs(vis) ? ir : vis; }
EDGEFUSE_INLINE float extent(Vector v) { return std::fabs(v.x) + std::fabs(v.y); }

enum class Magnitude { kOff, kAbsolute, kSquared };

// One loop for the terms that are on, everything between the loads of three images and the stores of two derivatives in registers.
template <Magnitude kMagnitudeForm, bool kAngleOn, bool kDirectionOn, bool kMaxOn>
EDGEFUSE_INLINE void evaluate(const RowTask &task) {
    const Columns of_fused(task.fused), of_ir(task.ir), of_vis(task.vis);
    const float of_magnitude = task.scale[kMagnitude], of_angle = task.scale[kAngle], of_max = task.scale[kMaxMagnitude];
    const float of_direction = 0.5f * task.scale[kDirection], epsilon = task.epsilon_squared;
    float *dx = task.dx, *dy = task.dy, *magnitude = task.value[kMagnitude], *angle = task.value[kAngle];
    float *direction = task.value[kDirection], *max_magnitude = task.value[kMaxMagnitude];
    const Index width = task.width;
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) {
        const Vector f = of_fused.sobel(i), ir = of_ir.sobel(i), vis = of_vis.sobel(i);
        float x = 0.0f, y = 0.0f;
        if constexpr (kMagnitudeForm != Magnitude::kOff || kAngleOn) {
            // The longer source vector, the visible one on a tie (AngularFuse Eq. 12).
            const float squared = f.squared(), ir_squared = ir.squared(), vis_squared = vis.squared();
            const bool from_ir = ir_squared > vis_squared;
            const float reference_squared = from_ir ? ir_squared : vis_squared;
            if constexpr (kMagnitudeForm != Magnitude::kOff) {
                const float length = std::sqrt(squared), distance = length - std::sqrt(reference_squared);
                constexpr bool kSquare = kMagnitudeForm == Magnitude::kSquared;
                magnitude[i] = kSquare ? distance * distance : std::fabs(distance);
                const float slope = of_magnitude * (kSquare ? 2.0f * distance : sign(distance)) / length;
                x += length > 0.0f ? slope * f.x : 0.0f;
                y += length > 0.0f ? slope * f.y : 0.0f;
            }
            if constexpr (kAngleOn) {
                // Cosine between (fx, fy, ε) and (rx, ry, ε); by f it changes by (r − cosine |r|/|f| f) / (|r| |f|).
                const float rx = from_ir ? ir.x : vis.x, ry = from_ir ? ir.y : vis.y, length_squared = squared + epsilon;
                const float inverse = 1.0f / std::sqrt(length_squared * (reference_squared + epsilon));
                const float cosine = (f.x * rx + f.y * ry + epsilon) * inverse, along = cosine / length_squared;
                angle[i] = 1.0f - cosine;
                x -= of_angle * (rx * inverse - along * f.x);
                y -= of_angle * (ry * inverse - along * f.y);
            }
        }
        if constexpr (kDirectionOn) {
            const float off_x = f.x - taller(ir.x, vis.x), off_y = f.y - taller(ir.y, vis.y);
            direction[i] = 0.5f * (std::fabs(off_x) + std::fabs(off_y));
            x += of_direction * sign(off_x);
            y += of_direction * sign(off_y);
        }
        if constexpr (kMaxOn) {
            const float distance = extent(f) - std::max(extent(ir), extent(vis));
            max_magnitude[i] = std::fabs(distance);
            const float slope = of_max * sign(distance);
            x += slope * sign(f.x);
            y += slope * sign(f.y);
        }
        dx[i] = x;
        dy[i] = y;
    }
}

template <Magnitude kMagnitudeForm, bool kAngleOn>
EDGEFUSE_INLINE void choose_rest(const RowTask &task) {
    const bool direction = task.scale[kDirection] != 0.0f, max_magnitude = task.scale[kMaxMagnitude] != 0.0f;
    if (direction && max_magnitude) return evaluate<kMagnitudeForm, kAngleOn, true, true>(task);
    if (direction) return evaluate<kMagnitudeForm, kAngleOn, true, false>(task);
    if (max_magnitude) return evaluate<kMagnitudeForm, kAngleOn, false, true>(task);
    return evaluate<kMagnitudeForm, kAngleOn, false, false>(task);
}

template <Magnitude kMagnitudeForm>
EDGEFUSE_INLINE void choose_angle(const RowTask &task) {
    return task.scale[kAngle] != 0.0f ? choose_rest<kMagnitudeForm, true>(task) : choose_rest<kMagnitudeForm, false>(task);
}

}  // namespace

EDGEFUSE_CLONES Sums evaluate_row(const RowTask &task) {
    if (task.scale[kMagnitude] == 0.0f) {
        choose_angle<Magnitude::kOff>(task);
    } else if (task.squared) {
        choose_angle<Magnitude::kSquared>(task);
    } else {
        choose_angle<Magnitude::kAbsolute>(task);
    }
    Sums sums{};
    for (int t = 0; t < kTerms; ++t) {
        if (task.scale[t] != 0.0f) sums[t] = sum_lanes(task.value[t], task.width);
    }
    return sums;
}

EDGEFUSE_CLONES void write_gradient(const Adjoint &rows, float *out) {
    const Columns of_dx(rows.dx), of_dy(rows.dy);
    const Index width = rows.width, coarse_width = rows.coarse_width;
    // Both kernels are odd along their axis: transposed, they change their sign.
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) out[i] = -of_dx.along_x(i) - of_dy.along_y(i);
    const float *coarse = rows.coarse;
    if (!coarse) return;
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < coarse_width; ++i) {
        out[2 * i] += 0.25f * coarse[i];
        out[2 * i + 1] += 0.25f * coarse[i];
    }
}

EDGEFUSE_CLONES void halve(const float *upper, const float *lower, Index stride, Index half_width, float *out) {
    if (stride == 1) {
        EDGEFUSE_INDEPENDENT
        for (Index i = 0; i < half_width; ++i) {
            out[i] = 0.25f * (upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1]);
        }
        return;
    }
    for (Index i = 0; i < half_width; ++i) {
        const Index left = 2 * i * stride, right = left + stride;
        out[i] = 0.25f * (upper[left] + upper[right] + lower[left] + lower[right]);
    }
}

}  // namespace edgefuse::gradient_loss
