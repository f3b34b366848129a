#include "core/text.h"
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
        {"muon",
         "Muon, Jordan et al. 2024, scaled as Liu et al. 2025 (arXiv:2502.16982)",
         "matrices of attention and MLP: W <- (1 - lr decay) W - lr 0.2 sqrt(max(R, C)) U, U the "
         "momentum with nearly equal singular values; everything else as adamw",
         {"muon_lr", "muon_momentum"},
         make_muon},
    };
    return table;
}

Choices optimizer_names() {
    Choices names;
    for (const OptimizerInfo& info : optimizers()) names.push_back(info.name);
    return names;
}

const OptimizerInfo& find_optimizer(const std::string& name) {
    for (const OptimizerInfo& info : optimizers())
        if (info.name == name) return info;
    throw UsageError(fmt::format("unknown optimizer '{}'{} (`plumb list optimizers` shows all)",
                                 name, did_you_mean(name, optimizer_names())));
}

}  // namespace plumb
