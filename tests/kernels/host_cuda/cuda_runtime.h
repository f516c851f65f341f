// The part of the CUDA runtime that kernels/warp/warp.cu uses, without a GPU: its kernels run on the host, one thread of a block
// after the other. That suits kernels whose threads share nothing, which is all that this checks for them.
//
// Work runs in the call that launches it, or, once edgefuse_host_queue was given a function, goes into a stream of another's.
#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <tuple>
#include <utility>

#define __device__
#define __global__
#define __launch_bounds__(threads)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1) : x(width), y(height), z(depth) {}
};

inline dim3 blockIdx, threadIdx;

using cudaStream_t = void *;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9, cudaErrorNoKernelImage = 209 };
struct cudaFuncAttributes {};

using HostWork = std::function<void()>;
using HostQueue = int (*)(void *stream, void (*call)(void *), void *work);
inline HostQueue host_queue = nullptr;
inline bool host_has_image = true;

// For tests alone: where work goes, nullptr for at once; and whether the GPU is one that the kernels were compiled for.
#define HOST_EXPORT extern "C" __attribute__((visibility("default")))
HOST_EXPORT void edgefuse_host_queue(HostQueue queue) { host_queue = queue; }
HOST_EXPORT void edgefuse_host_image(int has_image) { host_has_image = has_image != 0; }

inline const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorNoKernelImage ? "no kernel image is available for execution on the device" : "refused";
}

inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, const void *) {
    return host_has_image ? cudaSuccess : cudaErrorNoKernelImage;
}

template <typename... Values, std::size_t... I>
HostWork host_work(void (*kernel)(Values...), dim3 grid, dim3 block, void **arguments, std::index_sequence<I...>) {
    // By value, as CUDA takes them: who launches may forget them at once.
    return [=, values = std::make_tuple(*static_cast<Values *>(arguments[I])...)] {
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
                for (threadIdx.y = 0; threadIdx.y < block.y; ++threadIdx.y) {
                    for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x) std::apply(kernel, values);
                }
            }
        }
    };
}

template <typename... Values>
cudaError_t cudaLaunchKernel(void (*kernel)(Values...), dim3 grid, dim3 block, void **arguments, std::size_t, cudaStream_t stream) {
    const bool too_large = grid.x > 0x7fffffff || grid.y > 65535 || block.x * block.y * block.z > 1024;
    if (too_large || grid.x * grid.y == 0) return cudaErrorInvalidConfiguration;
    const HostWork work = host_work(kernel, grid, block, arguments, std::index_sequence_for<Values...>());
    if (host_queue == nullptr) {
        work();
        return cudaSuccess;
    }
    // Kept for good: a captured graph may launch it again as long as the process lives.
    const auto call = [](void *kept) { (*static_cast<HostWork *>(kept))(); };
    return host_queue(stream, call, new HostWork(work)) == 0 ? cudaSuccess : cudaErrorInvalidValue;
}
