// Splits rows of work over threads that live for one call.
//
// No pool is kept: a pool would not survive the fork of a data loader's worker, and starting a thread costs tens of
// microseconds where the work given here takes hundreds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace edgefuse {

// Calls body(first, last) on disjoint ranges that cover [0, rows), one range a thread, the calling thread included.
// Body must not throw. Fewer threads than asked for are used where a range would fall under min_rows.
template <typename Body>
void parallel_rows(std::int64_t rows, std::int64_t min_rows, int threads, const Body &body) {
    const std::int64_t useful = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, min_rows));
    const std::int64_t count = std::clamp<std::int64_t>(threads, 1, useful);
    std::vector<std::thread> workers;
    workers.reserve(static_cast<std::size_t>(count - 1));
    for (std::int64_t i = 1; i < count; ++i) {
        workers.emplace_back([&body, i, count, rows] { body(rows * i / count, rows * (i + 1) / count); });
    }
    body(0, rows / count);
    for (std::thread &worker : workers) worker.join();
}

}  // namespace edgefuse
