#pragma once

#include <nanobind/nanobind.h>

namespace edgefuse {

void bind_warp(nanobind::module_ &m);

}  // namespace edgefuse
