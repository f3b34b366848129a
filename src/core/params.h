// ParamStore: every learned number of a model in one flat array, its gradient in another of the
// same layout. Slices carry what the optimizer, the checkpoint and the probes need to know, so that
// none of them knows a model.
#pragma once

#include "core/device_memory.h"
#include "core/handle.h"

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace plumb {

enum class Group : std::uint8_t { model, mixer };

// How a slice gets its first values: constant, or scale * N(0,1) / scale * U(-1,1) keyed by name,
// or the given list of values.
struct Init {
    enum class Kind : std::uint8_t { constant, normal, uniform, values } kind = Kind::constant;
    double scale = 0.0;
    std::vector<double> list{};

    static Init constant(double value) { return {Kind::constant, value, {}}; }
    static Init normal(double std) { return {Kind::normal, std, {}}; }
    static Init uniform(double bound) { return {Kind::uniform, bound, {}}; }
    static Init values(std::vector<double> v) { return {Kind::values, 0.0, std::move(v)}; }
};

struct ParamSpec {
    std::string name;  // layer.3.mlp.mixer.query
    Shape shape;
    Init init;
    bool decay = false;  // weight decay applies
    Group group = Group::model;
    // Rows of each of the maps that lie one above another in it; empty: it is one.
    std::vector<Index> stacked{};
    Index offset = 0;  // into the flat arrays, in numbers; set by ParamStore::declare
};

// Numbers that a slice of n takes in a flat array in which every slice starts on 64 bytes.
template <class Real>
constexpr Index padded_count(Index n) {
    constexpr Index kAlign = 64 / static_cast<Index>(sizeof(Real));
    return (n + kAlign - 1) / kAlign * kAlign;
}

template <class Real>
class ParamStore {
public:
    explicit ParamStore(Device device = Device::cpu) : device_(device) {}

    // Throws InternalError for a name declared twice or after allocate(), UsageError for a size
    // beyond core/size.h.
    Param<Real> declare(ParamSpec spec);
    // From now on declare() hands out the slices that there are, to a second user of the same
    // parameters; InternalError for another name or shape.
    void share() { shared_ = true; }
    // Allocates both arrays, if they are not there (slices start on 64-byte boundaries), and sets
    // every slice's initial values from (seed, name) alone.
    void allocate(std::uint64_t seed);

    // Between passes; what runs in a frame asks its Context.
    View<Real> value(ParamId id);
    View<Real> grad(ParamId id);
    void zero_grad();

    const std::vector<ParamSpec>& specs() const { return specs_; }
    // Throws InternalError naming the nearest names if there is none.
    ParamId find(std::string_view name) const;
    // Numbers, without padding; of one group.
    Index n_params() const;
    Index n_params(Group group) const;

    // The flat arrays (P), padding included (padding stays zero), and copies of them on the host.
    View<Real> flat_values() { return values_.view(); }
    View<Real> flat_grads() { return grads_.view(); }
    std::vector<Real> values() const { return values_.fetch(); }
    std::vector<Real> grads() const { return grads_.fetch(); }
    Index flat_size() const { return flat_size_; }
    Origin origin() const { return origin_; }
    Device device() const { return device_; }

private:
    Device device_;
    Origin origin_ = new_origin();
    bool shared_ = false;
    std::vector<ParamSpec> specs_;
    std::unordered_set<std::string> names_;
    DeviceArray<Real> values_, grads_;
    Index flat_size_ = 0;
};

extern template class ParamStore<float>;
extern template class ParamStore<double>;

}  // namespace plumb
