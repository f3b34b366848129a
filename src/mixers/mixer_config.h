// The [mixer] table of a config. What every mixer has stands here; the options of some stand beside
// them, each in its mixer's file, and the table of mixers collects them. Options of other mixers
// than the named one must stay at their defaults (the config reader rejects them), so that a run's
// config says what the run did.
#pragma once

#include "core/field.h"

#include <variant>

namespace plumb {

using OptionValue = std::variant<bool, long, double, std::string>;

// mixer.NAME of the mixers that list it; several may list the same.
struct MixerOption {
    std::string name;
    OptionValue start;  // the default; its type is the option's
    std::string help;
    Field field{};
};

// Those of all mixers, in the order of the table, each once.
const std::vector<MixerOption>& mixer_options();

struct MixerConfig {
    std::string name = "standard";
    Words freeze;
    double lr_scale = 1.0;
    std::vector<OptionValue> options = defaults();  // of mixer_options()

    bool flag(const std::string& option) const { return get<bool>(option); }
    long integer(const std::string& option) const { return get<long>(option); }
    double number(const std::string& option) const { return get<double>(option); }
    const std::string& text(const std::string& option) const { return get<std::string>(option); }
    // `value` has the option's type.
    void set(const std::string& option, OptionValue value);

    template <class V>
    void visit(V& v) {
        v("name", name,
          "which depth mixer stands in for the residual connection; `plumb list mixers` shows all");
        v("freeze", freeze,
          "kinds of the mixer's parameters that are not trained, as their names end: query, "
          "gate.bias");
        v("lr_scale", lr_scale, "the learning rate of the mixer's parameters is lr_scale times lr",
          within(0, 1e6));
        for (std::size_t i = 0; i < options.size(); ++i) {
            const MixerOption& o = mixer_options()[i];
            std::visit([&](auto& value) { v(o.name.c_str(), value, o.help.c_str(), o.field); },
                       options[i]);
        }
    }

private:
    static std::vector<OptionValue> defaults();
    static std::size_t index_of(const std::string& option);  // throws InternalError
    template <class X>
    const X& get(const std::string& option) const {
        return std::get<X>(options[index_of(option)]);
    }
};

}  // namespace plumb
