// The compiled part of edgefuse.kernels. Each op keeps its code in its own folder and adds its functions here.
#include <nanobind/nanobind.h>

#include "gradient_loss/gradient_loss.h"
#include "luminance/luminance.h"
#include "ssim/ssim.h"
#include "temporal/temporal.h"
#include "warp/warp.h"

NB_MODULE(_native, m) {
    m.doc() = "Compiled CPU kernels of EdgeFuse.";
    edgefuse::bind_gradient_loss(m);
    edgefuse::bind_luminance(m);
    edgefuse::bind_ssim(m);
    edgefuse::bind_temporal(m);
    edgefuse::bind_warp(m);
}
