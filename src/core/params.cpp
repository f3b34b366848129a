#include "core/params.h"

#include "core/rng.h"
#include "core/size.h"
#include "core/text.h"

#include <numeric>

namespace plumb {
namespace {

template <class Real>
void initialise(const ParamSpec& spec, std::uint64_t seed, Real* out) {
    const Index n = spec.shape.count();
    const CounterRng rng(seed, "init/" + spec.name);
    require(spec.init.kind != Init::Kind::values || std::ssize(spec.init.list) == n,
            spec.name + ": the list of initial values does not fit its shape");
    for (Index i = 0; i < n; ++i) {
        const auto k = static_cast<std::uint64_t>(i);
        double x = spec.init.scale;
        switch (spec.init.kind) {
            case Init::Kind::constant:
                break;
            case Init::Kind::normal:
                x *= rng.normal(k);
                break;
            case Init::Kind::uniform:
                x *= 2.0 * rng.uniform(k) - 1.0;
                break;
            case Init::Kind::values:
                x = spec.init.list[static_cast<std::size_t>(i)];
                break;
        }
        out[i] = static_cast<Real>(x);
    }
}

}  // namespace

template <class Real>
Param<Real> ParamStore<Real>::declare(ParamSpec spec) {
    require(values_.size() == 0, "parameters are declared before allocate(): " + spec.name);
    if (shared_) {
        const ParamId id = find(spec.name);
        const ParamSpec& there = specs_[static_cast<std::size_t>(id.index)];
        require(there.shape == spec.shape, "parameter shared in another shape: " + spec.name);
        return {id, there.offset, there.shape, origin_};
    }
    require(names_.insert(spec.name).second,
            [&] { return "parameter declared twice: " + spec.name; });
    check_size(spec.name, spec.shape, sizeof(Real),
               static_cast<double>(flat_size_) * static_cast<double>(sizeof(Real)));
    require(spec.stacked.empty() || std::accumulate(spec.stacked.begin(), spec.stacked.end(),
                                                    Index(0)) == spec.shape.extent(0),
            [&] { return "stacked maps are not all rows of " + spec.name; });
    spec.offset = flat_size_;
    flat_size_ += padded_count<Real>(spec.shape.count());
    specs_.push_back(std::move(spec));
    return {{std::ssize(specs_) - 1}, specs_.back().offset, specs_.back().shape, origin_};
}

template <class Real>
void ParamStore<Real>::allocate(std::uint64_t seed) {
    if (values_.size() != flat_size_)
        values_ = DeviceArray<Real>(flat_size_, device_),
        grads_ = DeviceArray<Real>(flat_size_, device_);
    grads_.clear();
    std::vector<Real> first;
    for (const ParamSpec& s : specs_) {
        const View<Real> to = values_.view(s.offset, s.shape);
        if (device_ == Device::cpu) {
            initialise(s, seed, to.data);
            continue;
        }
        first.resize(static_cast<std::size_t>(s.shape.count()));
        initialise(s, seed, first.data());
        put(to, first.data());
    }
}

template <class Real>
View<Real> ParamStore<Real>::value(ParamId id) {
    const ParamSpec& s = specs_.at(static_cast<std::size_t>(id.index));
    return values_.view(s.offset, s.shape);
}

template <class Real>
View<Real> ParamStore<Real>::grad(ParamId id) {
    const ParamSpec& s = specs_.at(static_cast<std::size_t>(id.index));
    return grads_.view(s.offset, s.shape);
}

template <class Real>
void ParamStore<Real>::zero_grad() {
    grads_.clear();
}

template <class Real>
ParamId ParamStore<Real>::find(std::string_view name) const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        if (specs_[i].name == name) return {static_cast<Index>(i)};
        names.push_back(specs_[i].name);
    }
    throw InternalError(fmt::format("no parameter '{}'{}", name, did_you_mean(name, names)));
}

template <class Real>
Index ParamStore<Real>::n_params() const {
    return n_params(Group::model) + n_params(Group::mixer);
}

template <class Real>
Index ParamStore<Real>::n_params(Group group) const {
    Index n = 0;
    for (const ParamSpec& s : specs_)
        if (s.group == group) n += s.shape.count();
    return n;
}

template class ParamStore<float>;
template class ParamStore<double>;

}  // namespace plumb
