#include "core/context.h"

#include "core/flush_to_zero.h"

#include <omp.h>

namespace plumb {

void Context::no_frame() {
    throw InternalError("a tensor, parameter or state is asked for without a frame");
}

void set_up_threads(const Context& ctx) {
    omp_set_dynamic(0);
    omp_set_num_threads(ctx.threads);
#pragma omp parallel num_threads(ctx.threads)
    if (omp_get_thread_num() > 0) flush_to_zero_from_now_on();
}

}  // namespace plumb
