#include "core/context.h"

#include <omp.h>
#if defined(__SSE2__)
#include <pmmintrin.h>
#include <xmmintrin.h>
#endif

namespace plumb {

void set_up_threads(const Context& ctx) {
    omp_set_dynamic(0);
    omp_set_num_threads(ctx.threads);
#if defined(__SSE2__)
#pragma omp parallel num_threads(ctx.threads)
    {
        _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
        _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
    }
#endif
}

}  // namespace plumb
