// Options that stand beside what reads them, a mixer or a sublayer, and their values in a config.
#pragma once

#include "core/check.h"
#include "core/field.h"

#include <algorithm>
#include <variant>

namespace plumb {

using OptionValue = std::variant<bool, long, double, std::string>;

struct Option {
    std::string name;
    OptionValue start;  // the default; its type is the option's
    std::string help;
    Field field{};
};

// A value for each option of a list that outlives it.
class OptionValues {
public:
    explicit OptionValues(const std::vector<Option>& of) : of_(&of) {
        for (const Option& option : of) values_.push_back(option.start);
    }
    // Throw InternalError for a name that is not in the list.
    bool flag(const std::string& name) const { return std::get<bool>(at(name)); }
    long integer(const std::string& name) const { return std::get<long>(at(name)); }
    double number(const std::string& name) const { return std::get<double>(at(name)); }
    const std::string& text(const std::string& name) const {
        return std::get<std::string>(at(name));
    }
    // `value` has the option's type.
    void set(const std::string& name, OptionValue value) {
        OptionValue& to = values_[index(name)];
        require(to.index() == value.index(), [&] { return "another type than option " + name; });
        to = std::move(value);
    }
    template <class V>
    void visit(V& v) {
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const Option& o = (*of_)[i];
            std::visit([&](auto& value) { v(o.name.c_str(), value, o.help.c_str(), o.field); },
                       values_[i]);
        }
    }

private:
    const OptionValue& at(const std::string& name) const { return values_[index(name)]; }
    std::size_t index(const std::string& name) const {
        const auto found =
            std::find_if(of_->begin(), of_->end(), [&](const Option& o) { return o.name == name; });
        require(found != of_->end(), [&] { return "nothing has the option " + name; });
        return static_cast<std::size_t>(found - of_->begin());
    }

    const std::vector<Option>* of_;
    std::vector<OptionValue> values_;
};

}  // namespace plumb
