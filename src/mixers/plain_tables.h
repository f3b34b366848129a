// What a pass of the plain memory (plain.h) loops over, as plain data: rows, dot products, mixes.
// Kernels (plain.cuh) read copies of it in the device's memory.
#pragma once

#include "core/bf16.h"
#include "core/device_memory.h"
#include "mixers/plain_plan.h"

#include <cstring>

namespace plumb {

// Where a row is: of token n `step` numbers on. A vector's gradient is summed over tokens in parts,
// those of a chunk (CPU) or a block (GPU), d_step numbers apart.
template <class T>
struct PlainRow {
    using Real = RealOf<T>;

    const T* stored = nullptr;  // or
    Real* real = nullptr;
    Real* d = nullptr;
    Index step = 0, d_step = 0;
};

// Rows are counted: the cells, then the vectors of the site at work, then each site's image.
struct PlainProduct {
    int a, b;            // rows
    std::size_t to;      // which of [u | w] it adds to
    Index first, width;  // channels
};

// Weight `at` of its program's multiplies a cell, in a group of channels.
struct PlainTerm {
    int cell, at, group;
};

// A half of a site.
struct PlainHalfTables {
    ScalarProgram::Tables program;
    const PlainProduct* products;
    const int* dots;         // (n_dots + 1): where the products of a dot begin
    const PlainTerm* terms;  // of all mixes
    const int* mixes;        // (n_mixes + 1): where the terms of a mix begin
    const int* written;      // cells of a write's new rows
    int first_dot, n_dots, n_products, n_mixes, n_written;
};

// One of the site's vectors: the product of two slices of the flat array of parameters.
struct PlainVectorPlace {
    Index vector, gain;  // where they begin; -1: ones
};

struct PlainSiteTables {
    PlainHalfTables read, write;
    const Index* numbers;  // where each is in the flat array of parameters
    const PlainVectorPlace* vectors;
    int n_numbers, n_vectors;
};

// Copies of vectors in the memory of a device, side by side, for as long as it lives.
class DeviceCopies {
public:
    // `all` asks for the copies, the same ones each time: first to know how much memory they take.
    template <class F>
    void make(Device device, F&& all) {
        all();
        memory_ = DeviceArray<std::byte>(std::ssize(bytes_), device);
        bytes_.clear();
        all();
        put(memory_.view(), bytes_.data());
        bytes_ = {};
    }
    template <class X>
    const X* operator()(const std::vector<X>& from) {
        static_assert(std::is_trivially_copyable_v<X> && alignof(X) <= kAlign);
        const std::size_t at = bytes_.size(), n = from.size() * sizeof(X);
        bytes_.resize(at + (n + kAlign - 1) / kAlign * kAlign);
        if (n > 0) std::memcpy(bytes_.data() + at, from.data(), n);
        return memory_.size() ? reinterpret_cast<const X*>(memory_.view().data + at) : nullptr;
    }
    bool made() const { return memory_.size() > 0; }

private:
    static constexpr std::size_t kAlign = 16;
    DeviceArray<std::byte> memory_;
    std::vector<std::byte> bytes_;
};

}  // namespace plumb
