#pragma once

#include <nanobind/nanobind.h>

namespace edgefuse {

void bind_luminance(nanobind::module_ &m);

}  // namespace edgefuse
