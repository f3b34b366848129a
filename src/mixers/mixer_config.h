// The [mixer] table of a config. What every mixer has stands here; the options of some stand beside
// them, each in its mixer's file, and the table of mixers collects them. Options of other mixers
// than the named one must stay at their defaults (the config reader rejects them), so that a run's
// config says what the run did.
#pragma once

#include "core/options.h"

namespace plumb {

// mixer.NAME of the mixers that list it; several may list the same.
using MixerOption = Option;

// Of the table (mixers.h).
const std::vector<MixerOption>& mixer_options();
const Choices& mixer_names();

struct MixerConfig {
    std::string name = "standard";
    Words freeze;
    double lr_scale = 1.0;
    OptionValues options{mixer_options()};

    bool flag(const std::string& option) const { return options.flag(option); }
    long integer(const std::string& option) const { return options.integer(option); }
    double number(const std::string& option) const { return options.number(option); }
    const std::string& text(const std::string& option) const { return options.text(option); }
    // `value` has the option's type.
    void set(const std::string& option, OptionValue value) {
        options.set(option, std::move(value));
    }

    template <class V>
    void visit(V& v) {
        v("name", name,
          "which depth mixer stands in for the residual connection; `plumb list mixers` shows all",
          Field(mixer_names()).rows_of("mixers"));
        v("freeze", freeze,
          "kinds of the mixer's parameters that are not trained, as their names end: query, "
          "gate.bias");
        v("lr_scale", lr_scale, "the learning rate of the mixer's parameters is lr_scale times lr",
          within(0, 1e6));
        options.visit(v);
    }
};

}  // namespace plumb
