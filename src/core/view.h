// View: a non-owning, row-major block of numbers with named extents and a device. No arithmetic.
//
// Axes everywhere in Plumb: B sequences, T positions, N = B*T tokens, C channels, L sublayers,
// S sources, K streams, H heads, D head size, F MLP width, V vocabulary.
#pragma once

#include "core/check.h"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

namespace plumb {

using Index = std::int64_t;

enum class Device : std::uint8_t { cpu, cuda };

inline const char* device_name(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }

struct Axis {
    char name;
    Index size;
};

// Up to four named extents, slowest first.
class Shape {
public:
    static constexpr int kMaxRank = 4;

    Shape() = default;
    Shape(std::initializer_list<Axis> axes) {
        require(axes.size() <= kMaxRank, "a Shape has at most 4 axes");
        for (const Axis& axis : axes) axes_[static_cast<std::size_t>(rank_++)] = axis;
    }

    int rank() const { return rank_; }
    Index extent(int i) const { return axes_[static_cast<std::size_t>(i)].size; }
    char name(int i) const { return axes_[static_cast<std::size_t>(i)].name; }
    Index count() const {
        Index n = 1;
        for (int i = 0; i < rank_; ++i) n *= extent(i);
        return n;
    }
    // "(N=512, C=128)"
    std::string text() const {
        std::string s = "(";
        for (int i = 0; i < rank_; ++i)
            s += fmt::format("{}{}={}", i ? ", " : "", name(i), extent(i));
        return s + ")";
    }
    bool operator==(const Shape& o) const {
        if (rank_ != o.rank_) return false;
        for (int i = 0; i < rank_; ++i)
            if (extent(i) != o.extent(i)) return false;
        return true;
    }

private:
    std::array<Axis, kMaxRank> axes_{};
    int rank_ = 0;
};

template <class T>
struct View {
    T* data = nullptr;
    Shape shape;
    Device device = Device::cpu;

    Index count() const { return shape.count(); }
    Index extent(int i) const { return shape.extent(i); }
    explicit operator bool() const { return data != nullptr; }
    operator View<const T>() const requires(!std::is_const_v<T>) { return {data, shape, device}; }
    // For host code on purpose: InternalError where the numbers are in a device's memory.
    const View& host() const {
        require(device == Device::cpu, "host code reads the memory of a device");
        return *this;
    }
    // Row n of a rank-2 view.
    T* row(Index n) const { return data + n * shape.extent(shape.rank() - 1); }
};

}  // namespace plumb
