#include "core/row_table.h"
#include "train/adamw.h"
#include "train/muon.h"

namespace plumb {

const std::vector<OptimizerInfo>& optimizers() {
    static const std::vector<OptimizerInfo> table{
        {"adamw",
         "AdamW, Loshchilov & Hutter 2019 (arXiv:1711.05101)",
         "m and v average g and g^2; w <- (1 - lr decay) w - lr m^ / (sqrt(v^) + eps)",
         {},
         make_adamw},
        {"muon", "Muon, Jordan et al. 2024, scaled as Liu et al. 2025 (arXiv:2502.16982)",
         "matrices of attention and MLP: W <- (1 - lr decay) W - lr 0.2 sqrt(max(R, C)) U, U the "
         "momentum with nearly equal singular values; everything else as adamw",
         muon_options(), make_muon},
    };
    return table;
}

const std::vector<Option>& optimizer_options() {
    static const std::vector<Option> all = options_of(optimizers(), "optimizer");
    return all;
}

const Choices& optimizer_names() {
    static const Choices names = row_names(optimizers());
    return names;
}

const OptimizerInfo& find_optimizer(const std::string& name) {
    return find_row(optimizers(), name, "optimizer");
}

}  // namespace plumb
