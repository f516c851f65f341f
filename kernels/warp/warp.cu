// Registration and colour of a pair on an NVIDIA GPU: the arithmetic of rows.cpp, one thread a pixel.
//
// A library with a C interface, so that whoever holds device memory can call it: pycuda, PyTorch, TensorRT. Ownership: every
// pointer is device memory of the caller, but for Tables and Geometry, which are read before the call returns. Work is enqueued on
// the caller's stream, nothing is allocated and nobody waits, so that it may be captured as a CUDA graph. Compiled without
// contraction to fused multiply-adds, as the CPU's code is. tests/kernels/host_cuda runs this very file without a GPU.
#include <cuda_runtime.h>

#include <cstdint>

namespace {

constexpr float kBlue = 0.114f, kGreen = 0.587f, kRed = 0.299f, kUnit = 1.0f / 255.0f;
constexpr float kShare = 1.0f / 32;
constexpr int kBlockX = 32, kBlockY = 8;

// Tables of a WarpMap, as kernels/warp/warp_map.h describes them.
struct Tables {
    const std::int32_t *offsets;
    const std::uint8_t *right, *down;
    const std::int32_t *inside_from, *inside_to;
};

struct Geometry {
    std::int32_t ir_width, height, width, channels, padded_height, padded_width;
};

// The count that becomes 0, and 1 / (high - low). In device memory, since it differs from frame to frame of a captured graph.
struct Gain {
    float low, scale;
};

__device__ float clipped(float value, float high) { return fminf(fmaxf(value, 0.0f), high); }

__device__ float unit(float count, Gain gain) { return clipped((count - gain.low) * gain.scale, 1.0f); }

// The pixel that stands at a position when a line is mirrored at its last pixel, and there and back beyond.
__device__ int mirrored(int position, int length) {
    if (position < length) return position;
    if (length == 1) return 0;
    const int phase = position % (2 * (length - 1));
    return phase < length ? phase : 2 * (length - 1) - phase;
}

template <typename T>
__global__ void __launch_bounds__(kBlockX *kBlockY)
    warp_kernel(const T *ir, const std::uint8_t *vis, const Gain *range, Tables tables, Geometry size, float *ir_input,
                float *vis_input) {
    const int to_x = blockIdx.x * kBlockX + threadIdx.x, to_y = blockIdx.y * kBlockY + threadIdx.y;
    if (to_x >= size.padded_width || to_y >= size.padded_height) return;
    const int x = mirrored(to_x, size.width), y = mirrored(to_y, size.height);
    const std::int64_t pixel = static_cast<std::int64_t>(y) * size.width + x;
    const std::uint8_t *colour = vis + pixel * size.channels;
    const float luminance =
        size.channels == 3 ? (kBlue * colour[0] + kGreen * colour[1] + kRed * colour[2]) * kUnit : colour[0] * kUnit;
    float sample = luminance;
    if (x >= tables.inside_from[y] && x < tables.inside_to[y]) {
        const Gain gain = *range;
        const T *at = ir + tables.offsets[pixel];
        const float to_right = tables.right[pixel] * kShare, to_lower = tables.down[pixel] * kShare;
        const float a = unit(at[0], gain), b = unit(at[1], gain);
        const float c = unit(at[size.ir_width], gain), d = unit(at[size.ir_width + 1], gain);
        const float above = a + (b - a) * to_right, below = c + (d - c) * to_right;
        sample = above + (below - above) * to_lower;
    }
    const std::int64_t to = static_cast<std::int64_t>(to_y) * size.padded_width + to_x;
    ir_input[to] = sample;
    vis_input[to] = luminance;
}

__device__ std::uint8_t rounded(float value) { return static_cast<std::uint8_t>(static_cast<int>(clipped(value, 255.0f) + 0.5f)); }

__global__ void __launch_bounds__(kBlockX *kBlockY)
    colour_kernel(const std::uint8_t *vis, const float *fused, std::int32_t fused_pitch, std::int32_t height, std::int32_t width,
                  std::int32_t channels, std::uint8_t *out) {
    const int x = blockIdx.x * kBlockX + threadIdx.x, y = blockIdx.y * kBlockY + threadIdx.y;
    if (x >= width || y >= height) return;
    const std::int64_t pixel = channels * (static_cast<std::int64_t>(y) * width + x);
    const float wanted = clipped(fused[static_cast<std::int64_t>(y) * fused_pitch + x], 1.0f) * 255.0f;
    if (channels == 1) {
        out[pixel] = rounded(wanted);
        return;
    }
    const float blue = vis[pixel], green = vis[pixel + 1], red = vis[pixel + 2];
    const float change = wanted - (kBlue * blue + kGreen * green + kRed * red);
    out[pixel] = rounded(blue + change);
    out[pixel + 1] = rounded(green + change);
    out[pixel + 2] = rounded(red + change);
}

const char *reason_of(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

// One thread a pixel of a picture. CUDA copies the arguments before this returns.
template <typename... Values>
const char *launch(void (*kernel)(Values...), std::int32_t height, std::int32_t width, void *stream, Values... values) {
    const dim3 grid((width + kBlockX - 1) / kBlockX, (height + kBlockY - 1) / kBlockY), block(kBlockX, kBlockY);
    void *arguments[] = {&values...};
    return reason_of(cudaLaunchKernel(kernel, grid, block, arguments, 0, static_cast<cudaStream_t>(stream)));
}

template <typename T>
const char *launch_warp(const void *ir, const std::uint8_t *vis, const Gain *gain, const Tables &tables, const Geometry &size,
                        float *ir_input, float *vis_input, void *stream) {
    return launch(warp_kernel<T>, size.padded_height, size.padded_width, stream, static_cast<const T *>(ir), vis, gain, tables, size,
                  ir_input, vis_input);
}

}  // namespace

#define EDGEFUSE_EXPORT __attribute__((visibility("default")))

// All return nullptr, or why CUDA refuses, in its words.
extern "C" {

// Whether the GPU of the current context runs these kernels; loads them, so that a capture does not have to.
EDGEFUSE_EXPORT const char *edgefuse_check_device() {
    const void *kernels[] = {
        reinterpret_cast<const void *>(&warp_kernel<std::uint8_t>), reinterpret_cast<const void *>(&warp_kernel<std::uint16_t>),
        reinterpret_cast<const void *>(&warp_kernel<float>), reinterpret_cast<const void *>(&colour_kernel)};
    for (const void *kernel : kernels) {
        cudaFuncAttributes found;
        const cudaError_t error = cudaFuncGetAttributes(&found, kernel);
        if (error != cudaSuccess) return reason_of(error);
    }
    return nullptr;
}

// A pair of frames to both network inputs. ir_bytes is the size of an infrared pixel: 1 (uint8), 2 (uint16) or 4 (float).
EDGEFUSE_EXPORT const char *edgefuse_register_pair(const void *ir, int ir_bytes, const std::uint8_t *vis, const Gain *gain,
                                                   const Tables *tables, const Geometry *size, float *ir_input, float *vis_input,
                                                   void *stream) {
    switch (ir_bytes) {
        case 1: return launch_warp<std::uint8_t>(ir, vis, gain, *tables, *size, ir_input, vis_input, stream);
        case 2: return launch_warp<std::uint16_t>(ir, vis, gain, *tables, *size, ir_input, vis_input, stream);
        case 4: return launch_warp<float>(ir, vis, gain, *tables, *size, ir_input, vis_input, stream);
        default: return reason_of(cudaErrorInvalidValue);
    }
}

// Fused luminance, rows `fused_pitch` elements apart, into the visible frame: BGR (3 channels), or gray (1), which it replaces.
EDGEFUSE_EXPORT const char *edgefuse_colour_pair(const std::uint8_t *vis, const float *fused, int fused_pitch, int height, int width,
                                                 int channels, std::uint8_t *out, void *stream) {
    return launch(colour_kernel, height, width, stream, vis, fused, fused_pitch, height, width, channels, out);
}

}  // extern "C"
