#pragma once

#include <nanobind/nanobind.h>

namespace edgefuse {

void bind_ssim(nanobind::module_ &m);

}  // namespace edgefuse
