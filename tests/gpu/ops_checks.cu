#include "gpu/ops_checks.h"

namespace plumb::test {

void check_ops(Report& report) {
    check_activation(report);
    check_dropout(report);
    check_embedding(report);
    check_reduce(report);
    check_step_scalars(report);
    check_adamw(report);
    check_cross_entropy(report);
    check_columns(report);
    check_attention(report);
    check_muon(report);
    check_norm(report);
    check_decode(report);
}

}  // namespace plumb::test
