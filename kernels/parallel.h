// Splits rows of work over the threads of a pool.
#pragma once

#include <algorithm>
#include <cstdint>

namespace edgefuse {

// Processors that this process may run on.
int available_threads();

// Rows of `width` pixels that hold at least `pixels` together.
constexpr std::int64_t rows_of(std::int64_t pixels, std::int64_t width) {
    return pixels / std::max<std::int64_t>(1, width) + 1;
}

// Work on rows [first, last), and what it needs to know.
struct RowWork {
    void (*body)(const void *context, std::int64_t first, std::int64_t last);
    const void *context;
};

// Runs work on `ranges` disjoint ranges that cover [0, rows), on the calling thread and up to threads - 1 of the pool, each taking the
// next range as it is free. The pool serves one call at a time: one that finds it taken works alone, on one range.
void run_ranges(std::int64_t rows, std::int64_t ranges, std::int64_t threads, RowWork work);

// Calls body(first, last) on disjoint ranges that cover [0, rows), on several threads at once, the calling one included.
// Body must not throw. Fewer threads than asked for are used where a thread would have less than min_rows; 0 threads stands for
// those that the process has.
template <typename Body>
void parallel_rows(std::int64_t rows, std::int64_t min_rows, int threads, const Body &body) {
    constexpr std::int64_t kRangesPerThread = 4;  // so that a thread that wakes late takes fewer of them
    const std::int64_t useful = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, min_rows));
    const std::int64_t wanted = threads > 0 || useful == 1 ? threads : available_threads();
    const std::int64_t count = std::clamp<std::int64_t>(wanted, 1, useful);
    if (count == 1) {
        body(0, rows);
        return;
    }
    const auto call = [](const void *context, std::int64_t first, std::int64_t last) { (*static_cast<const Body *>(context))(first, last); };
    run_ranges(rows, std::min(rows, kRangesPerThread * count), count, {call, &body});
}

}  // namespace edgefuse
