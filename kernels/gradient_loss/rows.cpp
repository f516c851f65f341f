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

// Pointers of a window, by value so that the loops need not reload them, and its Sobel derivatives at a pixel.
struct Halves {
    const float *d0, *d1, *d2, *s0, *s2;
    EDGEFUSE_INLINE explicit Halves(const Window &w)
        : d0(w.difference[0]), d1(w.difference[1]), d2(w.difference[2]), s0(w.smooth[0]), s2(w.smooth[2]) {}
    EDGEFUSE_INLINE Vector sobel(Index i) const { return {d0[i] + 2.0f * d1[i] + d2[i], s2[i] - s0[i]}; }
};

EDGEFUSE_INLINE float sign(float v) { return v > 0.0f ? 1.0f : (v < 0.0f ? -1.0f : 0.0f); }
EDGEFUSE_INLINE float taller(float ir, float vis) { return std::fabs(ir) > std::fabs(vis) ? ir : vis; }
EDGEFUSE_INLINE float extent(Vector v) { return std::fabs(v.x) + std::fabs(v.y); }

enum class Magnitude { kOff, kAbsolute, kSquared };

// One loop for the terms that are on, everything between the loads of three images and the stores of two derivatives in registers.
template <Magnitude kMagnitudeForm, bool kAngleOn, bool kDirectionOn, bool kMaxOn>
EDGEFUSE_INLINE void evaluate(const RowTask &task) {
    const Halves of_fused(task.fused), of_ir(task.ir), of_vis(task.vis);
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

EDGEFUSE_CLONES void split_row(const float *u, const float *v, Index width, float *difference, float *smooth) {
    EDGEFUSE_INDEPENDENT
    for (Index i = 1; i < width - 1; ++i) {
        difference[i] = u[i + 1] - u[i - 1];
        smooth[i] = v[i - 1] + 2.0f * v[i] + v[i + 1];
    }
    for (const Index i : {Index{0}, width - 1}) {
        const bool left = i > 0, right = i + 1 < width;
        difference[i] = (right ? u[i + 1] : 0.0f) - (left ? u[i - 1] : 0.0f);
        smooth[i] = (left ? v[i - 1] : 0.0f) + 2.0f * v[i] + (right ? v[i + 1] : 0.0f);
    }
}

EDGEFUSE_CLONES void write_gradient(const Adjoint &rows, float *out) {
    const float *x0 = rows.difference[0], *x1 = rows.difference[1], *x2 = rows.difference[2];
    const float *y0 = rows.smooth[0], *y2 = rows.smooth[2];
    const Index width = rows.width, coarse_width = rows.coarse_width;
    EDGEFUSE_INDEPENDENT
    for (Index i = 0; i < width; ++i) out[i] = (y0[i] - y2[i]) - (x0[i] + 2.0f * x1[i] + x2[i]);
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
