#pragma once

#include <nanobind/nanobind.h>

namespace edgefuse {

void bind_gradient_loss(nanobind::module_ &m);

}  // namespace edgefuse
