// The matrix products of a model, each measured alone: the rate its steps are held against.
#pragma once

#include "core/context.h"
#include "model/model_config.h"

#include <string>
#include <vector>

namespace plumb {

struct GemmTime {
    std::string name;  // a sublayer's (MatrixProduct), head
    Index tokens, out, in;
    long count;              // such products in the model
    double forward, dx, dw;  // seconds of one call
    double flops() const {   // of one call
        return 2.0 * static_cast<double>(tokens) * static_cast<double>(out) *
               static_cast<double>(in);
    }
};

// Every linear layer of the model; medians of `repeats` calls. precision: fp32 or bf16.
std::vector<GemmTime> measure_gemms(const Context& ctx, const ModelConfig& resolved, Index vocab,
                                    Index tokens, const std::string& precision, int repeats);

// FLOP/s of all products of a step together.
double gemm_rate(const std::vector<GemmTime>& times);

}  // namespace plumb
