#pragma once

#include <nanobind/nanobind.h>

namespace edgefuse {

void bind_temporal(nanobind::module_ &m);

}  // namespace edgefuse
