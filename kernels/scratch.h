// Memory for the rows that a strip of work keeps alive, each row on a cache line with zeros on both sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace edgefuse {

class ScratchRows {
public:
    // `margin` zeros are readable before and after each of `count` rows of `width` floats, as long as nobody writes them.
    ScratchRows(std::int64_t count, std::int64_t width, std::int64_t margin)
        : before_(round_up(margin)),
          pitch_(before_ + round_up(width + margin)),
          memory_(static_cast<std::size_t>(count * pitch_ + kLine), 0.0f) {
        void *start = memory_.data();
        std::size_t space = memory_.size() * sizeof(float);
        base_ = static_cast<float *>(std::align(kLine * sizeof(float), space - kLine * sizeof(float), start, space)) + before_;
    }

    float *operator[](std::int64_t row) { return base_ + row * pitch_; }

private:
    static constexpr std::int64_t kLine = 16;
    static std::int64_t round_up(std::int64_t floats) { return (floats + kLine - 1) / kLine * kLine; }

    std::int64_t before_, pitch_;
    std::vector<float> memory_;
    float *base_;
};

}  // namespace edgefuse
