// Arrays of reproducible random numbers, as views.
#pragma once

#include "check/compare.h"
#include "core/rng.h"

#include <string>
#include <vector>

namespace plumb::test {

// Owns the numbers of a view: N(0, 1) of the given name, or one value.
template <class Real>
class Array {
public:
    Array(Shape shape, const std::string& name)
        : shape_(shape), data_(static_cast<std::size_t>(shape.count())) {
        const CounterRng rng(1, name);
        for (std::size_t i = 0; i < data_.size(); ++i) data_[i] = static_cast<Real>(rng.normal(i));
    }
    Array(Shape shape, Real value)
        : shape_(shape), data_(static_cast<std::size_t>(shape.count()), value) {}

    operator View<Real>() { return {data_.data(), shape_, Device::cpu}; }
    operator View<const Real>() const { return {data_.data(), shape_, Device::cpu}; }
    View<Real> view() { return *this; }
    Real* row(Index n) { return view().row(n); }
    Real& operator[](Index i) { return data_[static_cast<std::size_t>(i)]; }
    Real operator[](Index i) const { return data_[static_cast<std::size_t>(i)]; }
    Index size() const { return std::ssize(data_); }
    std::vector<Real>& values() { return data_; }
    std::span<Real> span() { return data_; }

private:
    Shape shape_;
    std::vector<Real> data_;
};

// Sum of f's numbers times fixed weights: a scalar of an array, for gradient checks.
inline double weighted_sum(const std::vector<double>& x, const std::vector<double>& weights) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * weights[i];
    return sum;
}

}  // namespace plumb::test
