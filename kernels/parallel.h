// Splits rows of work over threads that live for one call.
//
// No pool is kept: a pool would not survive the fork of a data loader's worker, and starting a thread costs tens of
// microseconds where the work given here takes hundreds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace edgefuse {

// Processors that this process may run on.
inline int available_threads() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Rows of `width` pixels that hold at least `pixels` together.
constexpr std::int64_t rows_of(std::int64_t pixels, std::int64_t width) {
    return pixels / std::max<std::int64_t>(1, width) + 1;
}

// Calls body(first, last) on disjoint ranges that cover [0, rows), one range a thread, the calling thread included.
// Body must not throw. Fewer threads than asked for are used where a range would fall under min_rows; 0 threads stands for those
// that the process has.
template <typename Body>
void parallel_rows(std::int64_t rows, std::int64_t min_rows, int threads, const Body &body) {
    const std::int64_t useful = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, min_rows));
    const std::int64_t wanted = threads > 0 || useful == 1 ? threads : available_threads();
    const std::int64_t count = std::clamp<std::int64_t>(wanted, 1, useful);
    std::vector<std::thread> workers;
    workers.reserve(static_cast<std::size_t>(count - 1));
    for (std::int64_t i = 1; i < count; ++i) {
        workers.emplace_back([&body, i, count, rows] { body(rows * i / count, rows * (i + 1) / count); });
    }
    body(0, rows / count);
    for (std::thread &worker : workers) worker.join();
}

}  // namespace edgefuse
