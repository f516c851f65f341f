// The pool of threads behind parallel_rows.
//
// Threads are kept, since the kernel often starts a new one on the processor of the thread that made it, where it waits until that
// one has done all the work; a sleeping thread wakes on a free processor. They are made when first asked for and sleep between calls.
// A forked process has none of its parent's threads and makes a pool of its own; pools are never destroyed, so that no thread is
// waited for when the process ends.
#include "parallel.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace edgefuse {
namespace {

using Index = std::int64_t;

// To sleep and be woken costs some 50 microseconds, on virtual machines above all; what is waited for often comes sooner.
constexpr std::chrono::microseconds kSpin{50};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

template <typename Condition>
void spin_until(const Condition &holds) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    while (!holds() && std::chrono::steady_clock::now() < end) pause();
}

class Pool {
public:
    // The pool of this process.
    static Pool &instance() {
        static std::once_flag prepared;
        std::call_once(prepared, [] {
            current_ = new Pool;
#if defined(__unix__) || defined(__APPLE__)
            pthread_atfork(nullptr, nullptr, [] { current_ = new Pool; });
#endif
        });
        return *current_;
    }

    void run(Index rows, Index ranges, Index threads, RowWork work) {
        const std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        if (!turn) return work.body(work.context, 0, rows);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            grow(threads - 1);
            work_ = work;
            rows_ = rows;
            ranges_ = ranges;
            next_ = 0;
            seats_ = threads - 1;
        }
        woken_.notify_all();
        take_ranges();
        spin_until([this] { return seated_ == 0; });
        std::unique_lock<std::mutex> lock(mutex_);
        seats_ = 0;  // who wakes now comes too late
        finished_.wait(lock, [this] { return seated_ == 0; });
    }

private:
    void grow(Index workers) {
        try {
            for (; workers_ < workers; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error &) {
            // No more threads to be had: those that there are do the work.
        }
    }

    [[noreturn]] void serve() {
        for (std::unique_lock<std::mutex> lock(mutex_);;) {
            woken_.wait(lock, [this] { return seats_ > 0; });
            --seats_;
            ++seated_;
            lock.unlock();
            take_ranges();
            lock.lock();
            if (--seated_ == 0) finished_.notify_one();
            lock.unlock();
            spin_until([this] { return seats_ > 0; });
            lock.lock();
        }
    }

    void take_ranges() {
        for (Index range; (range = next_++) < ranges_;) {
            work_.body(work_.context, rows_ * range / ranges_, rows_ * (range + 1) / ranges_);
        }
    }

    static Pool *current_;

    std::mutex turn_;   // held by the call that is served
    std::mutex mutex_;  // guards changes of what follows, all but next_; what describes the work changes only while nobody is seated
    std::condition_variable woken_, finished_;
    RowWork work_{};
    Index rows_ = 0, ranges_ = 0, workers_ = 0;
    std::atomic<Index> next_{0}, seats_{0}, seated_{0};
};

Pool *Pool::current_ = nullptr;

}  // namespace

int available_threads() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

void run_ranges(Index rows, Index ranges, Index threads, RowWork work) { Pool::instance().run(rows, ranges, threads, work); }

}  // namespace edgefuse
