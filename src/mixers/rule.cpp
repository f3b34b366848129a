#include "mixers/rule.h"

namespace plumb {

std::vector<RuleParam> Rule::params(int) const { return {}; }
Dots Rule::read_dots(int) const { return {}; }
Dots Rule::write_dots(int) const { return {}; }

ParamSpec param_spec(const RuleParam& p, int l, const Layout& layout) {
    return {.name = (p.owner.empty() ? layout.name(l) : p.owner) + ".mixer." + p.name,
            .shape = p.shape,
            .init = p.init,
            .group = Group::mixer};
}

Index count(const std::vector<RuleParam>& params, RuleParam::Is is) {
    Index n = 0;
    for (const RuleParam& p : params)
        if (p.is == is) n += p.shape.count();
    return n;
}

}  // namespace plumb
