#include "core/text.h"
#include "train/adamw.h"
#include "train/optimizer.h"

namespace plumb {

const std::vector<OptimizerInfo>& optimizers() {
    static const std::vector<OptimizerInfo> table{
        {"adamw", "AdamW, Loshchilov & Hutter 2019 (arXiv:1711.05101)",
         "m and v average g and g^2; w <- (1 - lr decay) w - lr m^ / (sqrt(v^) + eps)",
         make_adamw}};
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
